"""What this server calls itself, in all protocols that ask for it."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
from typing import Final

NAME: Final = "model_server"


@cache
def version() -> str:
    """Tell the version of the package, or 0: the image has its files, not the package."""
    try:
        return version_of("modeldeployment-operator")
    except PackageNotFoundError:
        return "0"
