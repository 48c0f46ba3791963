"""status [NAME] [--watch]."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from modeldeployment_operator.cli.arguments import cluster_flags
from modeldeployment_operator.cli.errors import CommandError, Exit
from modeldeployment_operator.cli.kubectl import Body, Kubectl
from modeldeployment_operator.cli.stream import Redrawn, show, show_document, style

_TICK: Final = 5.0
"""Seconds after which the ages are shown anew."""


def run(given: Namespace) -> Exit:
    """Show one model, or all of them."""
    if given.name and given.all_namespaces:
        raise CommandError(Exit.USAGE, "give a name or -A, not both: a name is looked for in one namespace")
    kubectl = Kubectl(cluster_flags(given))
    if given.watch:
        return _watch(given, kubectl)
    reading = kubectl.get(given.name, everywhere=given.all_namespaces)
    import modeldeployment_operator.cli.documents
    import modeldeployment_operator.cli.text.fleet  # noqa: F401 - while kubectl runs.

    bodies = reading.bodies()
    if given.output == "text":
        show(_lines(given, bodies))
    else:
        documents = _documents(bodies)
        show_document(documents[0] if given.name else {"items": documents}, given.output)
    return Exit.DONE


def _watch(given: Namespace, kubectl: Kubectl) -> Exit:
    """Show it again whenever it changes, in its place on a terminal."""
    from modeldeployment_operator.cli.watch import Watch

    screen = Redrawn() if sys.stdout.isatty() and given.output == "text" else None
    with Watch(kubectl, given.name, everywhere=given.all_namespaces) as watch:
        while True:
            changed = watch.changed(_TICK)
            bodies = list(watch.bodies.values())
            if screen is not None:
                lost = ["", "the cluster does not answer; what is shown is what was seen last"] if watch.silent else []
                screen.draw([*_lines(given, bodies), *lost])
            elif changed and given.output == "text":
                show([*_lines(given, bodies), ""])
            elif changed and given.output == "json":
                show([json.dumps({"items": _documents(bodies)})])
            elif changed:
                show(["---"])
                show_document({"items": _documents(bodies)}, given.output)


def _lines(given: Namespace, bodies: Iterable[Body]) -> list[str]:
    from modeldeployment_operator.cli.seen import Seen
    from modeldeployment_operator.cli.text.fleet import fleet
    from modeldeployment_operator.cli.text.model import model

    seen, now = [Seen.of(body) for body in bodies], datetime.now(UTC)
    if not given.name:
        return fleet(style(), seen, now, everywhere=given.all_namespaces)
    return model(style(), seen[0], now) if seen else [f"{given.name} is not there any more"]


def _documents(bodies: Iterable[Body]) -> list[Body]:
    from modeldeployment_operator.cli.documents import status_document
    from modeldeployment_operator.cli.seen import Seen

    return [status_document(Seen.of(body), datetime.now(UTC)) for body in bodies]
