"""The command line: `python3 -m tests.cluster COMMAND`."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster import images, lifecycle, monitoring, processes, requirements
from tests.cluster.build import build
from tests.cluster.console import say
from tests.cluster.errors import ClusterError
from tests.cluster.state import Cluster, Shape, load

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status."""
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        say("\nInterrupted. The same command goes on where it stopped; `down` removes what is there.")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m tests.cluster", description="A real Kubernetes on this machine.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Callable[[argparse.Namespace], int], what: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=what, description=what)
        command.set_defaults(run=run)
        command.add_argument("--name", default=lifecycle.DEFAULT_NAME, help="which cluster (default: %(default)s)")
        return command

    up = add("up", _up, "bring a cluster up, or what is missing of it")
    up.add_argument(
        "--shape",
        choices=[shape.value for shape in Shape],
        help="control-plane: the API alone, on loopback, without root (the default); full: with pods, as root",
    )
    up.add_argument("--audit", action="store_true", help="log every request to the API server, one JSON object a line")
    down = add("down", _down, "end a cluster and forget its objects; its images stay")
    down.add_argument("--keep", action="store_true", help="keep the objects for the next `up`")
    down.add_argument("--purge", action="store_true", help="forget the imported images too")
    add("status", _status, "show which processes of a cluster run; exit status 1 unless all do")
    add("kubeconfig", _kubeconfig, "print the path of the administrator's kubeconfig")
    add("env", _env, 'print lines for the shell: eval "$(python3 -m tests.cluster env)" sets KUBECONFIG and PATH')
    add("build", _build, "build the executables (done by `up` when needed)")
    add("images", _images, "build the images of the operator and the model server; import them if the cluster is up")
    sbom = add("sbom", _sbom, "print what an image that was built is made of, as CycloneDX")
    sbom.add_argument("image", nargs="?", choices=images.NAMES, default=images.MODEL_SERVER)
    add("monitoring", _monitoring, "install Prometheus Operator, Prometheus and Alertmanager into a cluster with pods")
    load_image = add("load-image", _load_image, "import an image into the cluster")
    load_image.add_argument("image", help=f"{' or '.join(images.NAMES)}, or an archive (`buildah push oci-archive:…`)")
    tools = add("install-tools", _install_tools, "install the Debian packages that the full shape and `images` need")
    tools.add_argument("--browser", action="store_true", help="install a browser for the tests of pages instead")
    return parser


def _up(options: argparse.Namespace) -> int:
    cluster = lifecycle.up(options.name, options.shape, audit=options.audit)
    option = "" if options.name == lifecycle.DEFAULT_NAME else f" --name {options.name}"
    say(f"{cluster.name} ({cluster.shape}) is up at {cluster.server}")
    say(f'  eval "$(python3 -m tests.cluster env{option})"   # then: kubectl get namespaces')
    if cluster.audit:
        say(f"  requests are logged in {cluster.paths.audit_log}")
    return 0


def _down(options: argparse.Namespace) -> int:
    lifecycle.down(options.name, keep=options.keep, purge=options.purge)
    return 0


def _status(options: argparse.Namespace) -> int:
    status = lifecycle.status(options.name)
    if not status:
        print(f"There is no cluster {options.name}.")
        return 1
    cluster = status.cluster
    print(f"{cluster.name}: {cluster.shape}, {cluster.server}, {'up' if status.up else 'not up'}")
    for part, runs in status.running.items():
        print(f"  {part:24} {'runs' if runs else 'is not running'}")
    print(f"  logs: {cluster.paths.logs}")
    return 0 if status.up else 1


def _kubeconfig(options: argparse.Namespace) -> int:
    print(_existing(options.name).kubeconfig)
    return 0


def _env(options: argparse.Namespace) -> int:
    cluster = _existing(options.name)
    print(f"export KUBECONFIG={shlex.quote(str(cluster.kubeconfig))}")
    print(f'export PATH={shlex.quote(str(cluster.paths.bin))}:"$PATH"')
    return 0


def _build(_: argparse.Namespace) -> int:
    print(build())
    return 0


def _images(options: argparse.Namespace) -> int:
    images.build_all()
    cluster = load(options.name)
    if cluster and processes.alive(cluster, "containerd"):
        images.give_all(cluster)
    else:
        say(f"No cluster {options.name} runs pods. Once it does, the same command imports what was built.")
    return 0


def _sbom(options: argparse.Namespace) -> int:
    print(images.bill_of_materials(options.image), end="")
    return 0


def _load_image(options: argparse.Namespace) -> int:
    cluster = _existing(options.name)
    if options.image in images.NAMES:
        images.give(cluster, options.image)
    else:
        images.give_archive(cluster, Path(options.image))
    return 0


def _monitoring(options: argparse.Namespace) -> int:
    found = monitoring.install(_existing(options.name))
    chosen = " ".join(f"{label}: {value}" for label, value in monitoring.SELECTED.items())
    say(f"Prometheus is at {found.prometheus}, for pods at {found.prometheus_by_name}")
    say(f"Alertmanager is at {found.alertmanager}")
    say(f"ServiceMonitors and PrometheusRules count that have the label {chosen}")
    return 0


def _install_tools(options: argparse.Namespace) -> int:
    if options.browser:
        requirements.install_browser()
    else:
        requirements.install_tools()
    return 0


def _existing(name: str) -> Cluster:
    cluster = load(name)
    if not cluster:
        raise ClusterError(f"There is no cluster {name}. Make it: `python3 -m tests.cluster up --name {name}`.")
    return cluster
