"""What may be said on the command line. Nothing else of the package is loaded for it: help comes at once."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Final

PROGRAM: Final = "kubectl model"
_EPILOG: Final = """\
exit codes:
  0  done                     4  no rights                    6  refused, or not confirmed: nothing changed
  1  failed                   5  no cluster, no Prometheus    7  recorded counts that cannot be read
  2  usage                    3  no such model, revision or kind

Colours are for terminals, and never with NO_COLOR set. Everything that is asked for is an annotation that the operator
understands; the spec stays what you or Git applied.
"""
_OF_KUBECTL: Final = (
    (("-n", "--namespace"), "namespace; that of the context if absent"),
    (("--context",), "context of the kubeconfig"),
    (("--kubeconfig",), "path of the kubeconfig"),
    (("--cluster",), "cluster of the kubeconfig"),
    (("--user",), "user of the kubeconfig"),
    (("--as",), "user to act as"),
    (("--as-group",), "group to act as"),
    (("--request-timeout",), "how long one request may take, as 15s"),
)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    top = argparse.ArgumentParser(
        prog=PROGRAM,
        description="What becomes of ModelDeployments, why, and what their user may ask for.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True, title="commands")

    def add(name: str, help_: str) -> argparse.ArgumentParser:
        command = commands.add_parser(
            name, help=help_, description=help_[0].upper() + help_[1:] + ".", allow_abbrev=False
        )
        _add_cluster(command)
        return command

    _add_looking(add)
    _add_asking(add)
    _add_reckoning(add)
    return top


def cluster_flags(given: argparse.Namespace) -> list[str]:
    """Return what was said of the cluster, as kubectl takes it."""
    flags = []
    for names, _ in _OF_KUBECTL:
        option = names[-1]
        value = getattr(given, option[2:].replace("-", "_"), None)
        if value is not None:
            values = value if isinstance(value, list) else [value]
            flags += [f"{option}={one}" for one in values]
    return flags


def _add_looking(add: Callable[[str, str], argparse.ArgumentParser]) -> None:
    status = add("status", "how one model is doing, or all of a namespace")
    status.add_argument("name", metavar="NAME", nargs="?", help="ModelDeployment; all of the namespace if absent")
    status.add_argument("-A", "--all-namespaces", action="store_true", help="of all namespaces")
    status.add_argument("-w", "--watch", action="store_true", help="go on showing it as it changes")
    _add_output(status)
    history = add("history", "revisions and rollbacks of a model in order of time")
    history.add_argument("name", metavar="NAME", help="ModelDeployment")
    _add_output(history)
    why = add("why", "the verdict on a revision in plain words, with its numbers")
    why.add_argument("name", metavar="NAME", help="ModelDeployment")
    why.add_argument("revision", metavar="REVISION", nargs="?", help="revision, or its hash; the one most in question")
    _add_output(why)
    replay = add("replay", "a recorded decision, reckoned once more from what it rests on")
    replay.add_argument("name", metavar="VERDICT", help="ModelVerdict; kubectl get modelverdicts lists them")
    _add_output(replay)


def _add_asking(add: Callable[[str, str], argparse.ArgumentParser]) -> None:
    for name, help_ in (
        ("retry", "try a revision once more that was taken back"),
        ("promote", "give a candidate the traffic without waiting for its remaining steps"),
        ("abort", "give a revision up: the candidate, or the one that serves"),
        ("pause", "hold the traffic where it is"),
        ("resume", "end a pause"),
    ):
        command = add(name, help_)
        command.add_argument("name", metavar="NAME", help="ModelDeployment")
        if name == "abort":
            command.add_argument(
                "revision", metavar="REVISION", nargs="?", help="revision, or its hash; the candidate if there is one"
            )
            command.add_argument("-y", "--yes", action="store_true", help="do not ask before traffic is taken away")
        command.add_argument("--dry-run", action="store_true", help="say what would happen, and change nothing")


def _add_reckoning(add: Callable[[str, str], argparse.ArgumentParser]) -> None:
    simulate = add("simulate", "how soon a policy finds a bad model, and how often it takes back a good one")
    _add_policy(simulate, needs="--minimum, --maximum-drop or --like")
    simulate.add_argument(
        "--maximum-drop", metavar="D", type=share, help="how much worse than the one that serves it may be, in a canary"
    )
    simulate.add_argument("--serving", metavar="P", type=share, help="true value of the one that serves")
    simulate.add_argument(
        "--weight", metavar="N", type=int, choices=range(1, 100), default=50, help="percent of the labels it gets (50)"
    )
    simulate.add_argument(
        "--true", metavar="P", type=share, action="append", help="true value to simulate; may be repeated"
    )
    simulate.add_argument("--labels", metavar="N", type=number, help="labels of a life (20000; in a canary 5000)")
    simulate.add_argument(
        "--runs", metavar="N", type=number, help="lives for each true value (200; in a canary 50, which take longer)"
    )
    simulate.add_argument("--every", metavar="N", type=number, default=10, help="labels from look to look (10)")
    simulate.add_argument("--rate", metavar="N", type=float, help="labels an hour: adds how long that takes")
    simulate.add_argument("--seed", metavar="N", type=int, default=1, help="of the random numbers (1)")
    _add_output(simulate)

    backtest = add("backtest", "what a policy would have done with recorded counts, and when")
    backtest.add_argument(
        "source",
        metavar="NAME|FILE",
        help="FILE: CSV or JSON lines with time, correct, wrong and perhaps revision and pod; - is the standard input. "
        "NAME: a ModelDeployment whose labels Prometheus has (--prometheus)",
    )
    _add_policy(backtest, needs="--minimum, --maximum-drop or --like; of NAME its own if absent")
    backtest.add_argument(
        "--maximum-drop", metavar="D", type=share, help="how much worse than the predecessor it may be"
    )
    backtest.add_argument(
        "--new", action="store_true", help="the rows of FILE say what is new in each, not how many there are in all"
    )
    backtest.add_argument("--prometheus", metavar="URL", help="ask this Prometheus; its API is at URL/api/v1")
    backtest.add_argument("--prometheus-token-file", metavar="FILE", help="a bearer token for it")
    backtest.add_argument("--prometheus-ca-file", metavar="FILE", help="certificates by which it is trusted")
    backtest.add_argument("--since", metavar="SPAN", default="24h", help="how far back to look, as 24h or 168h (24h)")
    _add_output(backtest)


def _add_cluster(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("cluster, as kubectl has it")
    for names, help_ in _OF_KUBECTL:
        action = "append" if names == ("--as-group",) else "store"
        group.add_argument(*names, action=action, metavar=names[-1][2:].upper().replace("-", "_"), help=help_)


def _add_output(command: argparse.ArgumentParser) -> None:
    command.add_argument("-o", "--output", choices=("text", "json", "yaml"), default="text", help="form (text)")


def _add_policy(command: argparse.ArgumentParser, *, needs: str) -> None:
    group = command.add_argument_group(f"policy ({needs})")
    group.add_argument("--minimum", metavar="P", type=share, help="spec.accuracy.minimum, as .9")
    group.add_argument("--alpha", metavar="P", type=share, help="spec.accuracy.alpha (0.01)")
    group.add_argument("--minimum-labels", metavar="N", type=number, help="spec.accuracy.minimumLabels (30)")
    group.add_argument(
        "--metric", choices=("accuracy", "precision", "recall", "f1"), help="spec.accuracy.metric (accuracy)"
    )
    group.add_argument(
        "--like", metavar="NAME", help="the policy of this ModelDeployment; what else is given goes before"
    )


def share(text: str) -> float:
    """Read a number between 0 and 1."""
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text} must lie between 0 and 1")
    return value


def number(text: str) -> int:
    """Read a number of something."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} must be 1 or more")
    return value


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read a command line; ends the process if it is not understood."""
    return parser().parse_args(arguments)
