"""replay VERDICT."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict

from modeldeployment_operator.cli.arguments import cluster_flags
from modeldeployment_operator.cli.errors import CommandError, Exit
from modeldeployment_operator.cli.kubectl import Kubectl
from modeldeployment_operator.cli.stream import show, show_document, style


def run(given: Namespace) -> Exit:
    """Reckon a recorded decision once more; it fails if that comes to something else than the record says."""
    reading = Kubectl(cluster_flags(given)).verdict(given.name)
    from modeldeployment_operator.api.base import read_leniently
    from modeldeployment_operator.api.verdict import ModelVerdictSpec
    from modeldeployment_operator.cli.text.replay import replayed
    from modeldeployment_operator.core.replay import replay

    (body,) = reading.bodies()
    verdict, _ = read_leniently(ModelVerdictSpec, body.get("spec", {}))
    if verdict is None:
        raise CommandError(Exit.FAILED, f"{given.name}: it is not a record that this version can read")
    try:
        found = replay(verdict)
    except ValueError as error:
        raise CommandError(Exit.REFUSED, f"{given.name}: {error}") from error
    if given.output != "text":
        show_document(asdict(found) | {"differences": list(found.differences)}, given.output)
    else:
        show(replayed(style(), verdict, found))
    return Exit.FAILED if found.differences else Exit.DONE
