"""Models of all layers that Keras has: none is refused needlessly, and what is served answers as Keras does."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from model_server import engine
from model_server.loading import find_model
from model_server.preparation.keras_config import ALLOWED
from model_server.preparation.parent import prepare
from model_server.tensors import DEFAULT_SIGNATURE

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(900)  # Half a minute of computing, on a machine that may have other work.
INEXACT = {"dense", "sound"}
"""Where TensorFlow puts operations together that Keras computes one by one: the last bit may be another."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[str]]:
    """The folder of `layer_models`, and the layers it leaves out."""
    folder = tmp_path_factory.mktemp("layers")
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.serving.layer_models", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return folder, set(ran.stdout.split())


def test_what_is_prepared_answers_as_keras(made: tuple[Path, set[str]], tmp_path: Path) -> None:
    folder, _ = made
    model = engine.load(prepare(find_model(folder / "model.keras", None), tmp_path), frozenset(), 2)
    with np.load(folder / "asked.npz") as kept:
        asked = {name: as_bytes(kept[name]) for name in kept}
    signature = model.signatures[DEFAULT_SIGNATURE]
    assert set(signature.outputs) == set(asked)
    # Names of inputs are those of their tensors, whatever they are called by. Where a layer gives back its very input,
    # as those do that alter pictures in training, Keras makes another one.
    names = {**{name: f"{name}_in" for name in asked}, "text": "some text", "image": "image_inCLONE"}
    assert set(signature.inputs) == set(names.values())
    got = model.predict(DEFAULT_SIGNATURE, {names[name]: value for name, value in asked.items()})
    model.close()
    with np.load(folder / "answered.npz") as wanted:
        for name in asked:
            rtol, atol = (1e-6, 1e-6) if name in INEXACT else (0, 0)
            np.testing.assert_allclose(got[name], wanted[name], rtol=rtol, atol=atol, err_msg=name)


def as_bytes(asked: np.ndarray) -> np.ndarray:
    if asked.dtype.kind != "U":
        return asked
    return np.array([text.encode() for text in asked.flat], dtype=object).reshape(asked.shape)


def test_only_these_layers_are_left_out(made: tuple[Path, set[str]]) -> None:
    _, left_out = made
    assert left_out == {
        *("FlaxLayer", "JaxLayer", "Lambda", "TFSMLayer", "TorchModuleWrapper"),  # They run code: refused.
        *("Layer", "Wrapper", "InputSpec"),  # Others are made of them.
        "MaxNumBoundingBoxes",  # Takes boxes, not a tensor.
        "STFTSpectrogram",  # Needs scipy, which the image does not have; `model.export` does without.
        "Input", *("add", "average", "concatenate", "dot", "maximum", "minimum", "multiply", "subtract"),
        *("deserialize", "serialize"),  # Functions.
    }  # fmt: skip


def test_layers_that_run_no_code_are_allowed(made: tuple[Path, set[str]]) -> None:
    """What the models have was not refused; nor would what they have not, but for these."""
    _, left_out = made
    assert left_out & ALLOWED == {"InputSpec", "MaxNumBoundingBoxes", "STFTSpectrogram"}
