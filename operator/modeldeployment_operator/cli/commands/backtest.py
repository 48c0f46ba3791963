"""backtest FILE, or NAME with --prometheus."""

from __future__ import annotations

import sys
from argparse import Namespace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from modeldeployment_operator.api.base import seconds
from modeldeployment_operator.cli.arguments import cluster_flags
from modeldeployment_operator.cli.backtest import Outcome, backtest
from modeldeployment_operator.cli.counts import Recording, read_counts
from modeldeployment_operator.cli.errors import CommandError, Exit
from modeldeployment_operator.cli.kubectl import Kubectl
from modeldeployment_operator.cli.policy import policy
from modeldeployment_operator.cli.prometheus import Server
from modeldeployment_operator.cli.seen import Seen
from modeldeployment_operator.cli.stream import show, show_document, style
from modeldeployment_operator.cli.text.backtest import backtest as told
from modeldeployment_operator.cli.text.backtest import backtest_document


def run(given: Namespace) -> Exit:
    """Try a policy on what was recorded."""
    outcome = _of_prometheus(given) if given.prometheus else _of_file(given)
    if given.output == "text":
        show(told(style(), outcome))
    else:
        show_document(backtest_document(outcome), given.output)
    return Exit.DONE


def _of_file(given: Namespace) -> Outcome:
    accuracy = policy(given, _model(given, given.like) if given.like else None)
    return backtest(accuracy, _read(given), from_here=False)


def _of_prometheus(given: Namespace) -> Outcome:
    try:
        span = timedelta(seconds=seconds(given.since))
    except ValueError as error:
        raise CommandError(Exit.USAGE, f"--since: {error}") from None
    model = _model(given, given.source)
    accuracy = policy(given, _model(given, given.like) if given.like else model)
    files = [Path(name) if name else None for name in (given.prometheus_token_file, given.prometheus_ca_file)]
    classes = model.spec.model.labels if model.spec else None
    recording = Server(given.prometheus, *files).record(model.key, accuracy.metric, classes, span, datetime.now(UTC))
    return backtest(accuracy, recording, from_here=True)


def _model(given: Namespace, name: str) -> Seen:
    (body,) = Kubectl(cluster_flags(given)).get(name).bodies()
    return Seen.of(body)


def _read(given: Namespace) -> Recording:
    if given.source == "-":
        return read_counts(sys.stdin, "standard input", new=given.new)
    path = Path(given.source)
    try:
        with path.open(encoding="utf-8") as lines:
            return read_counts(lines, given.source, new=given.new)
    except FileNotFoundError:
        hint = "for a ModelDeployment, give the Prometheus that has its labels: --prometheus http://HOST:9090"
        raise CommandError(Exit.NOT_FOUND, f"there is no file {given.source}; {hint}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(Exit.BAD_INPUT, f"{given.source} cannot be read: {error}") from None
