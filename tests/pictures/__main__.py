"""Draws the dashboards from a Prometheus, or checks that each query has an answer."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.pictures import check
from tests.pictures.answers import Asker
from tests.pictures.boards import Board, read
from tests.pictures.canvas import THEMES
from tests.pictures.choices import NothingToChooseError, Span, choose
from tests.pictures.page import draw
from tests.support.prometheus import Prometheus, PrometheusError

DASHBOARDS = Path(__file__).parents[2] / "manifests/components/dashboards"
NAMES = ("fleet", "model", "operator")
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line."""
    arguments = _parser().parse_args(words)
    try:
        boards = [read(DASHBOARDS / f"{name}.json") for name in arguments.dashboards]
        return run(boards, arguments)
    except (NothingToChooseError, PrometheusError) as error:
        print(error, file=sys.stderr)
        return 1


def run(boards: list[Board], arguments: argparse.Namespace) -> int:
    """Check or draw; return 1 if a query has no answer that must have one."""
    prometheus = Prometheus(arguments.prometheus.rstrip("/"))
    end = arguments.end or time.time()
    span = Span(end - arguments.range, end, arguments.scrape_interval)
    wanted = {name: getattr(arguments, name) for name in ("namespace", "model") if getattr(arguments, name)}
    failed = 0
    for board in boards:
        asker = Asker(prometheus, span, choose(board, prometheus, span, wanted))
        if arguments.check:
            for empty in check.empty(board, asker):
                failed += not empty.expected
                print(empty)
            continue
        arguments.output.mkdir(parents=True, exist_ok=True)
        path = arguments.output / f"{board.name}.png"
        draw(board, asker, THEMES[arguments.theme], path, arguments.section, arguments.scale)
        print(path)
    if arguments.check:
        print(f"{failed} queries have no answer that should have one." if failed else "Every query has its answer.")
    return 1 if failed else 0


def seconds(text: str) -> float:
    """Read a time as Grafana writes it: 15m, 3h."""
    return float(text[:-1]) * UNITS[text[-1]]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.pictures", description=__doc__)
    parser.add_argument("--prometheus", required=True, metavar="URL")
    parser.add_argument("--namespace", help="of the model; default: the first")
    parser.add_argument("--model", help="default: the first")
    parser.add_argument("--range", type=seconds, default=seconds("1h"), metavar="15m", help="how far back from the end")
    parser.add_argument("--end", type=float, metavar="TIME", help="Unix time; default: now")
    parser.add_argument("--scrape-interval", type=float, default=15, metavar="SECONDS")
    parser.add_argument("--dashboards", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--section", action="append", default=[], metavar="TITLE", help="draw only this; repeatable")
    parser.add_argument("--theme", choices=sorted(THEMES), default="dark")
    parser.add_argument("--scale", type=float, default=1, help="pixels for each of Grafana's")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--output", type=Path, metavar="DIR", help="draw a PNG of each dashboard into it")
    what.add_argument("--check", action="store_true", help="draw nothing; name the queries without an answer")
    return parser


if __name__ == "__main__":
    sys.exit(main())
