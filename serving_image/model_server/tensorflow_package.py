"""Enters the package `tensorflow` without running its `__init__`, so that only what is asked for is imported."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType
from typing import Final

_PACKAGE: Final = "tensorflow"


def enter() -> None:
    """Let `from tensorflow.… import …` work. A process that has imported the whole of TensorFlow uses that."""
    if _PACKAGE in sys.modules:
        return
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None:
        raise ImportError("the package tensorflow is not installed")
    package = ModuleType(_PACKAGE)
    package.__spec__, package.__file__ = spec, spec.origin
    package.__path__ = list(spec.submodule_search_locations or ())
    sys.modules[_PACKAGE] = package
