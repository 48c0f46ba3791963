"""retry, promote, abort, pause, resume: an annotation is written, and it is said what will come of it."""

from __future__ import annotations

from argparse import Namespace
from datetime import UTC, datetime
from typing import Final

from modeldeployment_operator.cli.arguments import cluster_flags
from modeldeployment_operator.cli.errors import Exit
from modeldeployment_operator.cli.kubectl import ChangedError, Kubectl
from modeldeployment_operator.cli.stream import confirm, show

_TRIES: Final = 5
"""The operator writes the status of an object now and then; what is asked for is then reckoned anew."""


def run(given: Namespace) -> Exit:
    """Ask for something."""
    kubectl = Kubectl(cluster_flags(given))
    confirmed: set[str | None] = {None}
    for left in reversed(range(_TRIES)):
        reading = kubectl.get(given.name)
        from modeldeployment_operator.cli.asking import REQUESTS
        from modeldeployment_operator.cli.seen import Seen

        (body,) = reading.bodies()
        seen = Seen.of(body)
        request = REQUESTS[given.command](seen, getattr(given, "revision", None), datetime.now(UTC))
        if given.dry_run:
            show([f"{seen.key}: not done, as --dry-run was given: {request.said}"])
            return Exit.DONE
        if request.question not in confirmed and not getattr(given, "yes", False):
            confirm(f"{request.question} {request.said[:1].upper()}{request.said[1:]}.", "--yes")
            confirmed.add(request.question)
        try:
            kubectl.annotate(body, request.annotations)
        except ChangedError:
            if not left:
                raise
        else:
            show([f"{seen.key}: {request.said}"])
            break
    return Exit.DONE
