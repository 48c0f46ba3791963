"""history NAME."""

from __future__ import annotations

from argparse import Namespace
from datetime import UTC, datetime

from modeldeployment_operator.cli.arguments import cluster_flags
from modeldeployment_operator.cli.errors import Exit
from modeldeployment_operator.cli.kubectl import Kubectl
from modeldeployment_operator.cli.stream import show, show_document, style


def run(given: Namespace) -> Exit:
    """Say what became of revisions."""
    reading = Kubectl(cluster_flags(given)).get(given.name)
    from modeldeployment_operator.cli.documents import history_document
    from modeldeployment_operator.cli.seen import Seen
    from modeldeployment_operator.cli.text.history import history

    (body,) = reading.bodies()
    seen = Seen.of(body)
    if given.output != "text":
        show_document(history_document(seen), given.output)
    else:
        show(history(style(), seen, datetime.now(UTC)))
    return Exit.DONE
