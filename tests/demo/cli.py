"""The command line: `python -m tests.demo [up | down]`."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
from typing import TYPE_CHECKING

from tests.cluster import ClusterError, down, monitoring
from tests.cluster.paths import cache
from tests.cluster.state import load
from tests.demo import models, operator_install, pages, pictures, target, timeline
from tests.demo.console import Console
from tests.demo.errors import DemoError, SetupError
from tests.demo.kubectl import Kubectl, KubectlError
from tests.demo.prometheus import PICTURES
from tests.demo.story import tell
from tests.demo.workspace import (
    CLUSTER,
    HTTP_PORT,
    NAME,
    NAMESPACE,
    OPERATOR,
    OPERATOR_NAMESPACE,
    PAGE_PORT,
    RESULT,
    folder,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.cluster import Cluster
    from tests.demo.timeline import Facts, Seen


_CONDITIONS = r'jsonpath={range .items[*].status.conditions[*]}{.type}={.status} {.reason}: {.message}{"\n"}{end}'


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return the exit status."""
    options = _parser().parse_args(arguments)
    console = Console()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # Whoever ends it, its processes go with it.
    run: Callable[[Console, argparse.Namespace], int] = options.run
    try:
        return run(console, options)
    except (DemoError, ClusterError) as error:
        print(f"error: {error}", file=sys.stderr)
        if options.run is _up and not isinstance(error, (ClusterError, SetupError)):
            _diagnose(console)
        return 1
    except KeyboardInterrupt:
        console.plain(
            ["", "Interrupted. `make demo` starts anew with what is there; `make demo-down` removes what is there."]
        )
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.demo",
        description="Serves a model on a real Kubernetes, replaces it by a worse one, and shows it being taken back.",
        epilog=f"With {target.CONTEXT}=NAME in the environment it uses that context of your kubeconfig, and the images "
        f"{target.OPERATOR_IMAGE} and {target.SERVING_IMAGE}.",
    )
    parser.set_defaults(run=_up)
    commands = parser.add_subparsers(metavar="COMMAND")
    commands.add_parser("up", help="run the demo, and leave its cluster up (the default)").set_defaults(run=_up)
    opened = commands.add_parser("prometheus", help="open the Prometheus of the demo on this machine, with its pages")
    opened.set_defaults(run=_prometheus)
    drawn = commands.add_parser("pictures", help="draw the README's pictures from the demo that runs on this machine")
    drawn.set_defaults(run=_pictures)
    remove = commands.add_parser("down", help="remove what the demo left")
    remove.set_defaults(run=_down)
    remove.add_argument("--purge", action="store_true", help="remove the cluster's images and the trained models too")
    return parser


def _up(console: Console, _: argparse.Namespace) -> int:
    facts = tell(console, os.environ)
    console.step("The timeline (UTC)")
    console.plain(["", *timeline.render(facts), ""])
    goals = timeline.goals(facts)
    console.plain([*timeline.render_goals(goals), ""])
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(timeline.report(facts), indent=1) + "\n")
    console.plain(_farewell(facts))
    return 0 if all(goal.met for goal in goals) else 1


def _farewell(facts: Facts) -> list[str]:
    context = os.environ.get(target.CONTEXT, "").strip()
    kubectl = f"kubectl --context {context}" if context else "kubectl"
    begin = [] if context else [f"  {target.ENVIRONMENT}"]
    remove = f"make demo-down {target.CONTEXT}={context}" if context else "make demo-down"
    url = f"http://localhost:{HTTP_PORT}/v1/models/{NAME}:predict"
    return [
        f"All figures: {RESULT}",
        "The cluster stays up. Explore it, from the repository's root:",
        *begin,
        *(_monitoring(kubectl, facts.seen) if facts.seen else []),
        "  # why it was taken back, in conditions and events; and with all its numbers, in .status.rejections",
        f"  {kubectl} describe mdep {NAME} -n {NAMESPACE}",
        f"  {kubectl} get mdep {NAME} -n {NAMESPACE} -o yaml",
        "  # what the operator made, and what it says",
        f"  {kubectl} get controllerrevisions,deployments,pods -n {NAMESPACE} -L modelops.dev/revision",
        f"  {kubectl} logs -n {OPERATOR_NAMESPACE} deployment/{OPERATOR}",
        "  # a prediction of your own",
        f"  {kubectl} port-forward -n {NAMESPACE} service/{NAME} {HTTP_PORT} &",
        f'  curl -i {url} -d \'{{"instances": ["这本书写得真好，我一口气读完了"]}}\'',
        f"  # {facts.bad} once more",
        f"  {kubectl} annotate mdep {NAME} -n {NAMESPACE} modelops.dev/retry=$(date +%s) --overwrite",
        f"Remove everything: {remove}",
    ]


def _monitoring(kubectl: str, seen: Seen) -> list[str]:
    """Say where Prometheus and the operator's page are."""
    return [
        f"  # the APIs of Prometheus and Alertmanager are at {seen.prometheus} and {seen.alertmanager}; with pages, by",
        "  make demo-prometheus",
        f"  # the dashboards are drawn in {PICTURES}; the operator's own page is at http://localhost:{PAGE_PORT} after",
        f"  {kubectl} port-forward -n {OPERATOR_NAMESPACE} deployment/{OPERATOR} {PAGE_PORT} &",
    ]


def _prometheus(console: Console, _: argparse.Namespace) -> int:
    pages.serve(monitoring.install(_local()).prometheus, console)
    return 0


def _local() -> Cluster:
    cluster = load(CLUSTER)
    if cluster is None or not RESULT.exists():
        raise SetupError("There is no demo on this machine: `make demo` first.")
    return cluster


def _pictures(console: Console, _: argparse.Namespace) -> int:
    cluster, told = _local(), json.loads(RESULT.read_text())
    applied = told["timeline"][0]
    ended = applied["time"] + told["seconds"] - applied["seconds"]
    pictures.draw(cluster, target.existing(cluster), applied["time"], ended, console)
    return 0


def _down(console: Console, options: argparse.Namespace) -> int:
    context = os.environ.get(target.CONTEXT, "").strip()
    if context:
        operator_install.uninstall(target.of_context(context, _with_names(os.environ)), console)
    else:
        down(CLUSTER, purge=options.purge)
    shutil.rmtree(folder(), ignore_errors=True)
    if options.purge:
        models.forget()
    console.plain(["The demo is gone."])
    if not context and not options.purge:
        console.plain([f"What was built and trained stays in {cache()}, so that the next demo takes minutes less."])
    return 0


def _with_names(environment: os._Environ[str]) -> dict[str, str]:
    """Return the environment with names of images, which removing does not need."""
    return {target.OPERATOR_IMAGE: "any", target.SERVING_IMAGE: "any", **environment}


def _diagnose(console: Console) -> None:
    """Show what helps to find out why the demo did not go on, as far as there is a cluster to ask."""
    kubectl = _kubectl_of_demo()
    if kubectl is None:
        return
    commands = (
        ("get", "pods", "--all-namespaces"),
        ("get", "modeldeployments", "--namespace", NAMESPACE, "-o", _CONDITIONS),
        ("events", "--namespace", NAMESPACE, "--types=Warning"),
        ("logs", f"deployment/{OPERATOR}", "--namespace", OPERATOR_NAMESPACE, "--tail=20"),
    )
    for words in commands:
        console.command(*kubectl.shown, *words)
        try:
            console.show("\n".join(line[:400] for line in kubectl.run(*words, seconds=20).splitlines()))
        except KubectlError as error:
            console.show(str(error))


def _kubectl_of_demo() -> Kubectl | None:
    if context := os.environ.get(target.CONTEXT, "").strip():
        return Kubectl.of_context(context)
    cluster = load(CLUSTER)
    return target.existing(cluster) if cluster and cluster.ready else None
