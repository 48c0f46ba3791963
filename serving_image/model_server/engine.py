"""Loads SavedModels and calls them.

A model runs as TensorFlow Serving runs it: its graph in a session, fed and fetched at the ends of a signature. A
callable of that session runs on the thread that calls it and takes NumPy's arrays as they are, so that a small model
takes 20 µs where a `tf.function` takes 200 and `model.predict` 20,000 (decision 0015).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import ml_dtypes
import numpy as np

from model_server import errors, saved_model
from model_server.batchable import batchable_signatures
from model_server.contract import StartFailure
from model_server.errors import RequestError, StartError
from model_server.independence import made_up, rows_are_independent
from model_server.loading import SAVED_MODEL_FILE
from model_server.logs import warning
from model_server.operations import check_operations
from model_server.runtime import Graph, Session, config_pb2, import_graph_def, tf_errors
from model_server.tensors import DEFAULT_SIGNATURE, STRING
from model_server.wording import telling_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from model_server.saved_model import Endpoint
    from model_server.tensors import Array, Signature

WARM_UP_SIZES: Final = (1, 8, 32, 224)
"""Tried in this order for dimensions of unknown size: a convolution may need more than one pixel."""
QUICK_SECONDS: Final = 0.0003
"""About what it takes to hand a call to a thread and its answer back, on a busy machine."""
QUICK_SIZES: Final = (1, 4, 16, 64, 128)
_TRIALS: Final = 5
_CALLERS_THREAD: Final = -1
"""TensorFlow's word for it in `RunOptions.inter_op_thread_pool`."""
_BFLOAT16: Final = "DT_BFLOAT16"
_VARIABLES: Final = "variables/variables"
_ANSWERS: Final = (
    (tf_errors.InvalidArgumentError, errors.InvalidArgument),
    (tf_errors.FailedPreconditionError, errors.InvalidArgument),
    (tf_errors.OutOfRangeError, errors.InvalidArgument),
    (tf_errors.NotFoundError, errors.NotFound),
    (tf_errors.ResourceExhaustedError, errors.ResourceExhausted),
    (tf_errors.UnimplementedError, errors.Unimplemented),
    (tf_errors.UnavailableError, errors.Unavailable),
    (tf_errors.DeadlineExceededError, errors.DeadlineExceeded),
)


class LoadedModel:
    """A model in memory; a `tensors.Model`."""

    def __init__(self, session: Any, endpoints: Mapping[str, Endpoint], batchable: frozenset[str]) -> None:
        self._session = session
        self.batchable = batchable
        self.quick: dict[str, int] = {}
        self._functions = {name: _Function(session, endpoint) for name, endpoint in endpoints.items()}
        self.signatures: Mapping[str, Signature] = {name: end.signature for name, end in endpoints.items()}

    def predict(self, signature_name: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Call one signature. Raises `RequestError` when the model refuses the inputs."""
        try:
            return self._functions[signature_name](inputs)
        except tf_errors.OpError as error:
            raise _as_request_error(error) from error
        except (TypeError, ValueError) as error:
            raise errors.InvalidArgument(telling_line(str(error))) from error

    def close(self) -> None:
        """Give its memory back. No call may be under way."""
        self._functions = {}
        self._session.close()
        self._session = None  # It holds the graph, which may be larger than its variables.


class _Function:
    """One signature as a callable of the session."""

    def __init__(self, session: Any, endpoint: Endpoint) -> None:
        self._names = tuple(endpoint.feeds)
        self._narrow = tuple(name for name, spec in endpoint.signature.inputs.items() if spec.dtype == _BFLOAT16)
        fetches = list(dict.fromkeys(endpoint.fetches.values()))
        self._outputs = tuple((name, fetches.index(tensor)) for name, tensor in endpoint.fetches.items())
        options = config_pb2.CallableOptions(feed=endpoint.feeds.values(), fetch=fetches)
        options.run_options.inter_op_thread_pool = _CALLERS_THREAD
        # The public make_callable takes no options; this is what it is made of.
        self._call: Callable[..., Sequence[Any]] = session._make_callable_from_options(options)  # noqa: SLF001

    def __call__(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        if self._narrow:
            inputs = {**inputs, **{name: inputs[name].astype(ml_dtypes.bfloat16) for name in self._narrow}}
        values = self._call(*[inputs[name] for name in self._names])
        return {name: _array(values[place]) for name, place in self._outputs}


def load(folder: Path, extra_ops: frozenset[str], threads: int, spread: int = 1) -> LoadedModel:
    """Load a SavedModel for a process of so many threads; `spread`: over how many a call is. Raises `StartError`."""
    document = saved_model.read_document(folder)
    operations = saved_model.operations(document)
    check_operations(operations, extra_ops)
    number = saved_model.serving_graph(document)
    meta_graph = document.meta_graphs[number]
    endpoints = saved_model.endpoints(meta_graph)
    if DEFAULT_SIGNATURE not in endpoints:
        have = ", ".join(endpoints) or "none"
        raise StartError(
            StartFailure.LOAD_FAILED, f"the SavedModel has no signature {DEFAULT_SIGNATURE}; it has {have}"
        )
    try:
        batchable = batchable_signatures(meta_graph, operations[number], endpoints)
        return LoadedModel(_open(meta_graph, folder, threads, spread), endpoints, batchable)
    except Exception as error:
        message = f"the SavedModel could not be loaded: {telling_line(str(error))}"
        raise StartError(StartFailure.LOAD_FAILED, message) from error


def size(folder: Path) -> int:
    """Tell of how many bytes a SavedModel's graph and variables are."""
    files = (*folder.glob(SAVED_MODEL_FILE), *folder.glob(f"{_VARIABLES}.*"))
    return sum(file.stat().st_size for file in files)


def _open(meta_graph: Any, folder: Path, threads: int, spread: int) -> Any:
    """Make a session with the model's variables and tables in it."""
    graph = Graph()
    with graph.as_default():
        import_graph_def(meta_graph.graph_def, name="")
    config = config_pb2.ConfigProto(
        intra_op_parallelism_threads=spread, inter_op_parallelism_threads=threads, allow_soft_placement=True
    )
    session = Session(graph=graph, config=config)
    saver = meta_graph.saver_def
    if saver.restore_op_name and (folder / f"{_VARIABLES}.index").exists():
        session.run(saver.restore_op_name, {saver.filename_tensor_name: str(folder / _VARIABLES)})
    initialiser = saved_model.initialiser(meta_graph)
    if initialiser is not None:
        session.run(initialiser, saved_model.assets(meta_graph, folder))
    return session


def warm_up(model: LoadedModel, sizes: Sequence[int]) -> None:
    """Answer made-up requests of so many rows each. Raises `StartError` if the model cannot answer.

    The signatures whose rows may be put together are held to it. Others may be there to change the model, as one that
    trains it is. A model may rightly refuse what is made up: zeros are no picture in JPEG.
    """
    try:
        size = _size_that_fits(model)
        for name in sorted(model.batchable):
            if not rows_are_independent(model, name, size):
                model.batchable -= {name}
                warning(
                    "the answer to a row depends on the rows beside it: requests are not put together", signature=name
                )
        for rows in sizes:
            model.predict(DEFAULT_SIGNATURE, made_up(model.signatures[DEFAULT_SIGNATURE], rows, size))
        quick = _quick_rows(model, size)
        if quick:
            model.quick[DEFAULT_SIGNATURE] = quick
    except RequestError as error:
        if not isinstance(error, errors.InvalidArgument) or isinstance(
            error.__cause__, tf_errors.FailedPreconditionError
        ):
            raise StartError(
                StartFailure.LOAD_FAILED, f"the model did not answer a made-up request: {error}"
            ) from error
        warning("the model refused a made-up request; its first real one may be slow", reason=str(error))


def _size_that_fits(model: LoadedModel) -> int:
    """Find a size for dimensions that may have any; raises what the model said to the last one that was tried."""
    for size in WARM_UP_SIZES[:-1]:
        try:
            model.predict(DEFAULT_SIGNATURE, made_up(model.signatures[DEFAULT_SIGNATURE], 1, size))
        except RequestError:
            continue
        return size
    model.predict(DEFAULT_SIGNATURE, made_up(model.signatures[DEFAULT_SIGNATURE], 1, WARM_UP_SIZES[-1]))
    return WARM_UP_SIZES[-1]


def _quick_rows(model: LoadedModel, size: int) -> int:
    """Find the most rows that the default signature answers in `QUICK_SECONDS`.

    None where a row may be of any size, as texts may: what was tried says nothing of one that is a million times as
    long.
    """
    signature, most = model.signatures[DEFAULT_SIGNATURE], 0
    if any(spec.shape is None or None in spec.shape[1:] or spec.dtype == STRING for spec in signature.inputs.values()):
        return 0
    for rows in QUICK_SIZES if DEFAULT_SIGNATURE in model.batchable else QUICK_SIZES[:1]:
        inputs = made_up(signature, rows, size)
        if min(_seconds(model, inputs) for _ in range(_TRIALS)) > QUICK_SECONDS:
            break
        most = rows
    return most


def _seconds(model: LoadedModel, inputs: Mapping[str, Array]) -> float:
    began = time.perf_counter()
    model.predict(DEFAULT_SIGNATURE, inputs)
    return time.perf_counter() - began


def _array(value: Any) -> Array:
    """Make an output an array of NumPy's own types: bfloat16 and its like become float32."""
    array: Array = np.asarray(value)
    return array.astype(np.float32) if array.dtype.kind == "V" else array


def _as_request_error(error: tf_errors.OpError) -> RequestError:
    kind = next((ours for theirs, ours in _ANSWERS if isinstance(error, theirs)), RequestError)
    return kind(telling_line(error.message or str(error)))
