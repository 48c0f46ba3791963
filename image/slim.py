"""Takes out of a folder of Python packages what a server never uses, and tells what each saved.

`python3 slim.py FOLDER STRIP` with the `strip` of the architecture in question. What is taken out and why stands in
RULES and nowhere else; operator/decisions/0016-images.md has the figures. It is run once, while an image is built.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Rule:
    """Files that go, by patterns of `Path.glob`, and why nothing misses them."""

    what: str
    patterns: tuple[str, ...]


RULES = (
    Rule("C++ headers of TensorFlow: for compiling against it", ("tensorflow/include",)),
    Rule("libclang: TensorFlow requires it, and imports it nowhere", ("clang", "libclang-*")),
    Rule(
        "operations of StableHLO and tf2xla as libraries of their own: no import of TensorFlow loads them",
        ("tensorflow/compiler/mlir/stablehlo/*.so", "tensorflow/compiler/tf2xla/ops/_xla_ops.so"),
    ),
    Rule("sources of XLA's ahead-of-time runtime", ("tensorflow/xla_aot_runtime_src",)),
    Rule(
        "installers: nothing is installed in an image that runs",
        ("pip", "pip-*", "setuptools", "setuptools-*", "wheel", "wheel-*", "pkg_resources", "_distutils_hack"),
    ),
    Rule("start of setuptools in every process", ("distutils-precedence.pth",)),
    Rule("Pygments: rich imports it to colour code, which no server prints", ("pygments", "pygments-*")),
    Rule("command line programs", ("bin",)),
    Rule("tests of the packages", ("**/tests", "**/testdata", "**/*_test.py")),
    Rule(
        "sources and headers of extension modules, and static libraries",
        tuple(f"**/*.{suffix}" for suffix in ("a", "c", "cc", "cpp", "h", "hpp", "pxd", "pxi", "pyx", "proto", "cu")),
    ),
    Rule("types for checkers", ("**/*.pyi",)),
)
NOT_STRIPPED = (".libs", "nvidia")
"""Ends of the names of folders whose libraries stay as they are: rewritten by auditwheel, in ways that strip may not
read, or without symbols as they come."""


def take_out(folder: Path, rule: Rule) -> int:
    """Remove what a rule names; returns how many bytes that were."""
    found = [path for pattern in rule.patterns for path in folder.glob(pattern)]
    saved = 0
    for path in found:
        if not path.exists():
            continue  # It lay in a folder that is gone.
        saved += sum(file.stat().st_size for file in _files(path))
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    return saved


def strip_symbols(folder: Path, strip: str) -> int:
    """Remove from libraries the symbols that only debuggers read; returns how many bytes that were."""
    libraries = [
        path
        for path in _files(folder)
        if ".so" in path.suffixes and not any(part.endswith(NOT_STRIPPED) for part in path.parts)
    ]
    before = sum(path.stat().st_size for path in libraries)
    subprocess.run([strip, "--strip-unneeded", *map(str, libraries)], check=True)  # noqa: S603 - binutils.
    return before - sum(path.stat().st_size for path in libraries)


def _files(path: Path) -> Iterator[Path]:
    entries = path.rglob("*") if path.is_dir() else [path]
    return (entry for entry in entries if entry.is_file() and not entry.is_symlink())


def main() -> None:
    """Do both and print a table."""
    folder, strip = Path(sys.argv[1]), sys.argv[2]
    rows = [(rule.what, take_out(folder, rule)) for rule in RULES]
    rows.append(("symbols for debuggers", strip_symbols(folder, strip)))
    for what, saved in rows:
        sys.stdout.write(f"{saved / 1e6:8.1f} MB  {what}\n")
    left = sum(file.stat().st_size for file in _files(folder))
    sys.stdout.write(f"{left / 1e6:8.1f} MB  are left in {folder}\n")


if __name__ == "__main__":
    main()
