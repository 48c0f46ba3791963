"""simulate: on all processors, as lives have nothing to do with each other."""

from __future__ import annotations

import os
import signal
from argparse import Namespace
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from typing import Final

from modeldeployment_operator.cli.arguments import cluster_flags
from modeldeployment_operator.cli.errors import CommandError, Exit
from modeldeployment_operator.cli.kubectl import Kubectl
from modeldeployment_operator.cli.policy import policy
from modeldeployment_operator.cli.seen import Seen
from modeldeployment_operator.cli.simulation import Rival, Setting, gathered, live
from modeldeployment_operator.cli.stream import show, show_document, style
from modeldeployment_operator.cli.text.simulation import simulation, simulation_document

_WORTH_IT: Final = 20_000
"""Looks from which on other processes are started."""
_AT_A_TIME: Final = 5
"""Lives that a process is given."""
_LABELS: Final = {False: 20_000, True: 5_000}
"""Of a life, if nothing is said, by whether two revisions are compared: that is slower."""
_RUNS: Final = {False: 200, True: 50}
_USUAL: Final = (-0.1, -0.05, 0.0, 0.02)
"""True values, from the lowest good one, if none is given."""


def run(given: Namespace) -> Exit:
    """Simulate a policy."""
    like = None
    if given.like:
        (body,) = Kubectl(cluster_flags(given)).get(given.like).bodies()
        like = Seen.of(body)
    accuracy = policy(given, like)
    rival = None
    if accuracy.maximum_drop is not None:
        if given.serving is None:
            message = "with a maximumDrop a canary is simulated: give --serving, the true value of the one that serves"
            raise CommandError(Exit.USAGE, message)
        rival = Rival(accuracy.maximum_drop, given.serving, given.weight)
        if rival.value <= rival.drop:
            raise CommandError(Exit.USAGE, f"a drop of {rival.drop:g} below {rival.value:g} leaves nothing to demand")
    labels, runs = given.labels or _LABELS[rival is not None], given.runs or _RUNS[rival is not None]
    if labels < given.every:
        raise CommandError(Exit.USAGE, f"a life of {labels} labels is never looked at: see --labels and --every")
    setting = Setting(
        accuracy.metric,
        accuracy.minimum,
        accuracy.alpha,
        accuracy.minimum_labels,
        labels,
        given.every,
        given.seed,
        rival,
    )
    values = given.true or [round(setting.least + more, 6) for more in _USUAL]
    values = sorted({value for value in values if 0 < value < 1})
    lives = [gathered(setting, true, ends) for true, ends in zip(values, _all(setting, values, runs), strict=True)]
    if given.output == "text":
        show(simulation(style(), setting, lives, given.rate))
    else:
        show_document(simulation_document(setting, lives), given.output)
    return Exit.DONE


def _all(setting: Setting, values: Iterable[float], runs: int) -> list[list[int | None]]:
    """Return by true value how each life ended."""
    parts = [range(at, min(at + _AT_A_TIME, runs)) for at in range(0, runs, _AT_A_TIME)]
    if runs * setting.labels / setting.every < _WORTH_IT or (os.cpu_count() or 1) == 1:
        return [_joined(live(setting, true, part) for part in parts) for true in values]
    with ProcessPoolExecutor(initializer=signal.signal, initargs=(signal.SIGINT, signal.SIG_IGN)) as pool:
        asked = [[pool.submit(live, setting, true, part) for part in parts] for true in values]
        try:
            return [_joined(one.result() for one in answers) for answers in asked]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _joined(parts: Iterable[list[int | None]]) -> list[int | None]:
    return [end for part in parts for end in part]
