"""why NAME [REVISION]."""

from __future__ import annotations

from argparse import Namespace
from datetime import UTC, datetime

from modeldeployment_operator.cli.arguments import cluster_flags
from modeldeployment_operator.cli.errors import CommandError, Exit
from modeldeployment_operator.cli.kubectl import Kubectl
from modeldeployment_operator.cli.stream import show, show_document, style


def run(given: Namespace) -> Exit:
    """Say why a revision is judged as it is."""
    reading = Kubectl(cluster_flags(given)).get(given.name)
    from modeldeployment_operator.cli.documents import why_document
    from modeldeployment_operator.cli.seen import Seen
    from modeldeployment_operator.cli.text.why import in_question, why

    (body,) = reading.bodies()
    seen = Seen.of(body)
    revision = seen.revision(given.revision) if given.revision else in_question(seen)
    if revision is None:
        raise CommandError(
            Exit.NOT_FOUND, f"{seen.key}: there is no revision yet; see kubectl model status {seen.name}"
        )
    if given.output != "text":
        show_document(why_document(seen, revision), given.output)
    else:
        show(why(style(), seen, revision, datetime.now(UTC)))
    return Exit.DONE
