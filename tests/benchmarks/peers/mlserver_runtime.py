"""A peer: a runtime for MLServer that calls a concrete function. MLServer batches before it is asked."""

# Its packages are in an environment of its own.
# mypy: ignore-errors

import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"

import keras
import numpy as np
import tensorflow as tf
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse


class TensorFlowModel(MLModel):
    async def load(self) -> bool:
        threads = int(os.environ["PEER_THREADS"])
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
        model = keras.models.load_model(os.environ["PEER_MODEL"], compile=False)
        (tensor,) = model.inputs
        self.dtype = tf.as_dtype(tensor.dtype)
        self.model = model
        self.function = tf.function(lambda x: model(x, training=False), autograph=False).get_concrete_function(
            tf.TensorSpec(tensor.shape, self.dtype)
        )
        shape = [1, *tensor.shape[1:]]
        self.function(tf.constant(np.full(shape, "a" if self.dtype == tf.string else 0.0), dtype=self.dtype))
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        codec = StringCodec if self.dtype == tf.string else NumpyCodec
        rows = codec.decode_input(payload.inputs[0])
        answer = self.function(tf.constant(rows, dtype=self.dtype)).numpy()
        outputs = [NumpyCodec.encode_output("output_0", answer)]
        return InferenceResponse(model_name=self.name, id=payload.id, outputs=outputs)
