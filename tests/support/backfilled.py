"""A Prometheus that has seen the fleet of `monitored_fleet`, and recorded the dashboards' rules over it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.support import debian
from tests.support.monitored_fleet import tell
from tests.support.prometheus import Prometheus
from tests.support.prometheus_process import PrometheusProcess

RULES = Path(__file__).parents[2] / "manifests/components/dashboards/recording-rules.yaml"


def rule_groups(directory: Path) -> Path:
    """Write the rules of the PrometheusRule as Prometheus itself reads them."""
    rule = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    path = directory / "rules.yml"
    path.write_text(yaml.safe_dump(rule["spec"]), encoding="utf-8")
    return path


@dataclass(frozen=True)
class Backfilled:
    """A Prometheus that runs, and the time of its last readings."""

    prometheus: Prometheus
    end: float
    """Unix time, in seconds."""


@contextmanager
def backfilled(directory: Path, seconds: float, step: float) -> Iterator[Backfilled]:
    """Run a Prometheus that has seen the fleet until about now."""
    end = time.time() // step * step
    start = end - seconds
    data = directory / "data"
    story = directory / "story.txt"
    with story.open("w", encoding="utf-8") as file:
        file.writelines(tell(start, end, step).lines())
    _promtool("tsdb", "create-blocks-from", "openmetrics", "--quiet", str(story), str(data))
    # Series end without a word in such data: what is two readings old counts as gone.
    options = ("--storage.tsdb.retention.time=10y", f"--query.lookback-delta={2 * step:.0f}s")
    with PrometheusProcess(directory, {}, *options) as process:
        rules = str(rule_groups(directory))
        times = (f"--start={start:.0f}", f"--end={end:.0f}", f"--eval-interval={step:.0f}s")
        # Rules are evaluated in no order here: a second pass gives those that rest on others.
        for _ in range(2):
            _promtool(
                "tsdb", "create-blocks-from", "rules", f"--url={process.url}", *times, f"--output-dir={data}", rules
            )
            process.stop()
            process.start()
        yield Backfilled(process.client, end)


def _promtool(*arguments: str) -> None:
    command = [str(debian.command("promtool")), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
