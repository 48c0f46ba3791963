"""A peer: FastAPI with the bodies as they come, orjson, and a concrete function. The fastest that is usual in Python.

What is usual is slower: bodies that pydantic reads, `model.predict`, a thread for each request.
"""

# Its packages are in an environment of its own.
# mypy: ignore-errors

import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"

import keras
import numpy as np
import orjson
import tensorflow as tf
from fastapi import FastAPI, Request, Response

threads = int(os.environ["PEER_THREADS"])
tf.config.threading.set_intra_op_parallelism_threads(threads)
tf.config.threading.set_inter_op_parallelism_threads(threads)
model = keras.models.load_model(os.environ["PEER_MODEL"], compile=False)
(tensor,) = model.inputs
dtype = tf.as_dtype(tensor.dtype)
function = tf.function(lambda x: model(x, training=False), autograph=False).get_concrete_function(
    tf.TensorSpec(tensor.shape, dtype)
)
shape = [1, *tensor.shape[1:]]
function(tf.constant(np.full(shape, "a" if dtype == tf.string else 0.0), dtype=dtype))
app = FastAPI()


@app.get("/ready")
async def ready():
    return {}


@app.post("/v1/models/m:predict")
async def predict(request: Request):
    rows = orjson.loads(await request.body())["instances"]
    answer = function(tf.constant(rows, dtype=dtype)).numpy()
    body = orjson.dumps({"predictions": answer}, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(body, media_type="application/json")
