"""Loads the models of `engine_models` as the server does, and prints what came of it: `engine_trials FOLDER`.

A process of its own, as the server's is: TensorFlow is here what `model_server.runtime` makes of it.
"""

from __future__ import annotations

import gc
import json
import shutil
import sys
import weakref
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from model_server import engine, opening, recorded, spreading
from model_server.dataplane.batch_settings import BatchSettings
from model_server.errors import ModelServerError
from model_server.tensors import DEFAULT_SIGNATURE

from tests.serving.model_rows import ROWS

NO_REQUEST = bytes.fromhex("01000000000000000175de41ffd8e884a2")
"""A record with its checksums, of one byte that is no message."""


def texts(*values: str) -> Any:
    return np.array([value.encode() for value in values], dtype=object)


def answer(folder: Path, name: str, signature: str = DEFAULT_SIGNATURE, **inputs: Any) -> dict[str, Any]:
    extra = frozenset({"InitializeTableFromTextFileV2"}) if name == "table" else frozenset()
    model = engine.load(folder / name, extra, 2)
    try:
        engine.warm_up(model, (1, 4))
        outputs = model.predict(signature, inputs or {"x": np.array([1.0, 4.0], np.float32)})
        again = model.predict(signature, inputs) if inputs else {}
        return {
            "outputs": {key: value.tolist() for key, value in outputs.items()},
            "again": {key: value.tolist() for key, value in again.items()},
            "dtypes": {key: str(value.dtype) for key, value in outputs.items()},
            "batchable": sorted(model.batchable),
            "quick": signature in model.quick,
            "inputs": {key: [spec.dtype, spec.shape] for key, spec in model.signatures[signature].inputs.items()},
        }
    finally:
        model.close()


def failure(folder: Path, name: str, **inputs: Any) -> str:
    try:
        return f"answered {answer(folder, name, **inputs)}"
    except ModelServerError as error:
        return f"{type(error).__name__}: {error}"


def graph_stays(folder: Path) -> bool:
    """Whether the graph of a version is there after the next one was opened, though it was closed."""
    first = opening.open_model(folder / "plain", None, frozenset(), BatchSettings(), tried=True)
    graph = weakref.ref(first._session.graph)  # type: ignore[attr-defined]
    first.close()
    opening.open_model(folder / "series", None, frozenset(), BatchSettings(), tried=True)
    return graph() is not None


def pool(model: Any) -> int:
    """Over how many threads the model's calls are spread."""
    return int(model._session._config.intra_op_parallelism_threads)


def spread(folder: Path) -> dict[str, Any]:
    """What a model answers and how many threads there are more, for each number of threads of its own."""
    rows = {"x": np.linspace(-1, 1, 64 * 1024, dtype=np.float32).reshape(64, 1024)}
    gc.collect()  # Models before had threads, too.
    models, counts = [], [threads()]
    for number in (1, 5):
        models.append(engine.load(folder / "wide", frozenset(), 2, number))
        counts.append(threads())
    one, five = (model.predict(DEFAULT_SIGNATURE, rows)["output_0"] for model in models)
    return {"same": np.allclose(one, five, rtol=1e-4, atol=1e-5), "more": np.diff(counts).tolist()}


def threads() -> int:
    return sum(1 for _ in Path("/proc/self/task").iterdir())


def chosen(folder: Path, name: str) -> dict[str, Any]:
    """What the server makes of a model where there are four processors."""
    opened = partial(engine.load, folder / name, frozenset(), 4)
    model = spreading.open_fastest(opened, 4, engine.size(folder / name), 1)
    shape = [1 if size is None else size for size in model.signatures[DEFAULT_SIGNATURE].inputs["x"].shape or ()]
    answer = model.predict(DEFAULT_SIGNATURE, {"x": np.ones(shape, np.float32)})
    return {"threads": pool(model), "answer": [value.shape for value in answer.values()]}


def asked_after_damage(folder: Path, name: str, content: bytes) -> Any:
    """The answer of a model whose recorded requests are damaged."""
    place = folder / name
    shutil.copytree(folder / "times" / "1", place)
    (place / recorded.FILE).write_bytes(content)
    model = engine.load(place, frozenset(), 2)
    recorded.replay(model, place)
    return model.predict(DEFAULT_SIGNATURE, {"x": np.array([1.0], np.float32)})["y"].tolist()


def main(folder: Path) -> None:
    requests = (folder / "times" / "1" / recorded.FILE).read_bytes()
    number = np.array([1.0], np.float32)
    found = {
        "plain": answer(folder, "plain", x=np.array(ROWS, np.float32)),
        "scaled": answer(folder, "scaled"),
        "embedding": answer(folder, "embedding", x=np.array([0, 3], np.int32)),
        "out of range": failure(folder, "embedding", x=np.array([0, 7], np.int32)),
        "wrong type": failure(folder, "embedding", x=texts("a")),
        "series": answer(folder, "series", x=np.array([[1.0, 4.0]], np.float32)),
        "ragged": answer(folder, "ragged", x=np.array([1, 2, 4], np.float32), x_1=np.array([0, 1, 3])),
        "table": answer(folder, "table", x=texts("blue", "pink")),
        "coarse": answer(folder, "coarse", x=number),
        "counter": answer(folder, "counter", x=number),
        "count": answer(folder, "counter", "count", x=number),
        "cut records": asked_after_damage(folder, "cut", requests[:-3]),
        "no requests": asked_after_damage(folder, "noise", NO_REQUEST),
        "graph stays": graph_stays(folder),
        "spread": spread(folder),
        "chosen": {name: chosen(folder, name) for name in ("plain", "wide")},
        "size": engine.size(folder / "wide"),
        "modules": [name for name in ("keras", "tensorflow.python.eager.def_function") if name in sys.modules],
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
