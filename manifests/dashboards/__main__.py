"""Writes the dashboards as JSON, or tells whether the JSON that is there is theirs."""

from __future__ import annotations

import argparse
import difflib
import sys
from pathlib import Path

from manifests.dashboards import controller, fleet, model
from manifests.dashboards.board import to_text

DIRECTORY = Path(__file__).parents[1] / "components" / "dashboards"


def generate() -> dict[str, str]:
    """Return the files by name."""
    return {
        "fleet.json": to_text(fleet.build()),
        "model.json": to_text(model.build()),
        "operator.json": to_text(controller.build()),
    }


def differences(directory: Path) -> list[str]:
    """Return a line for each difference between the files in a directory and what is made now."""
    lines: list[str] = []
    for name, text in generate().items():
        there = directory / name
        old = there.read_text(encoding="utf-8") if there.exists() else ""
        lines += difflib.unified_diff(old.splitlines(), text.splitlines(), str(there), "made now", lineterm="")
    return lines


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m manifests.dashboards", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file is not what is made now")
    parser.add_argument("--output", type=Path, default=DIRECTORY, help="where the files are")
    arguments = parser.parse_args()
    if arguments.check:
        lines = differences(arguments.output)
        sys.stdout.writelines(f"{line}\n" for line in lines)
        return 1 if lines else 0
    for name, text in generate().items():
        (arguments.output / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
