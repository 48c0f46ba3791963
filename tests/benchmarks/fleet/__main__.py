"""The operator at 100, 300 and 1000 models of one replica, with all their children.

Beside it in the same run the floor, as many plain Deployments, and the limit: a bare client that writes what the
operator writes, with the same verbs, and does nothing else. Real API server, controllers and scheduler; the nodes are
kwok's, and their pods run nothing. Run by `make bench-operator`.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time

from tests.benchmarks.fleet import contestants
from tests.benchmarks.fleet.report import RESULT, Report

SIZES = (100, 300, 1000)
CONTESTANTS = {"floor": contestants.floor, "limit": contestants.limit, "ours": contestants.ours}


def main() -> int:
    """Measure, print and save; return 1 if a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.fleet", description=__doc__)
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="numbers of models (default: %(default)s)")
    sizes = [int(size) for size in parser.parse_args().sizes.split(",")]
    report = asyncio.run(_measure(sizes))
    print("\n".join(report.lines()))
    report.save()
    print(f"\nsaved in {RESULT}")
    missed = list(report.missed())
    for target in missed:
        print(f"missed with {max(sizes)} models: {target}")
    return 1 if missed else 0


async def _measure(sizes: list[int]) -> Report:
    report = Report()
    for size in sizes:
        for name, measure in CONTESTANTS.items():
            started = time.monotonic()
            print(f"{name} with {size} models …", file=sys.stderr, flush=True)
            report.add(name, await measure(size))
            print(f"{name} with {size} models took {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    return report


if __name__ == "__main__":
    sys.exit(main())
