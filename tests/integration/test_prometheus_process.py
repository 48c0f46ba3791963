"""The Prometheus that tests run for themselves, and what they ask it with."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.demo import pages
from tests.support.prometheus import PrometheusError
from tests.support.prometheus_process import PrometheusProcess

RULES = {
    "groups": [
        {
            "name": "g",
            "interval": "1s",
            "rules": [
                {"alert": "Always", "expr": "vector(1)", "labels": {"severity": "none"}, "annotations": {"a": "b"}},
                {"record": "one", "expr": "vector(1)"},
            ],
        }
    ]
}


def itself(directory: Path, **more: Any) -> PrometheusProcess:
    """A Prometheus that scrapes a port where nothing listens."""
    job = {"job_name": "none", "scrape_interval": "1s", "static_configs": [{"targets": ["127.0.0.1:1"]}]}
    return PrometheusProcess(directory, {"scrape_configs": [job], **more})


def test_it_is_asked_for_all_that_tests_ask(tmp_path: Path, eventually: Any) -> None:
    (tmp_path / "rules.yml").write_text(json.dumps(RULES))
    with itself(tmp_path, rule_files=["rules.yml"]) as process:
        client = process.client
        eventually(lambda: client.value('up{job="none"}') == 0 and bool(client.alerts()))
        eventually(lambda: client.value("one") == 1)
        (target,) = client.targets()
        assert (target.job, target.labels["instance"], target.health) == ("none", "127.0.0.1:1", "down")
        assert "connection refused" in target.error
        assert {(rule.name, rule.kind, rule.health) for rule in client.rules()} == {
            ("Always", "alerting", "ok"),
            ("one", "recording", "ok"),
        }
        (alert,) = client.alerts()
        assert (alert.name, alert.state, alert.annotations) == ("Always", "firing", {"a": "b"})
        assert alert.has({"severity": "none"})
        assert not alert.has({"severity": "critical"})
        assert abs(alert.since.timestamp() - time.time()) < 60
        (series,) = client.query_range("vector(2)", 100, 102, 1)
        assert series.points == ((100, 2), (101, 2), (102, 2))
        assert client.value("scalar(vector(3))") == 3
        assert client.value("absent_metric") is None
        with pytest.raises(PrometheusError, match="parse error"):
            client.query("sum(")


def test_it_keeps_its_address_and_its_data_when_it_comes_back(tmp_path: Path, eventually: Any) -> None:
    with itself(tmp_path) as process:
        eventually(lambda: process.client.value("up") == 0)
        seen, url = process.client.query("up")[0].time, process.url
        process.stop()
        assert not process.client.is_ready()
        with pytest.raises(PrometheusError, match="does not answer"):
            process.client.query("up")
        process.start()
        assert process.url == url
        assert process.client.query("up", at=seen)
        process.reload({})
        eventually(lambda: not process.client.targets())


def test_a_configuration_that_it_refuses_is_shown(tmp_path: Path) -> None:
    with pytest.raises(TimeoutError, match="scrape_configz"), PrometheusProcess(tmp_path, {"scrape_configz": []}):
        pass


def test_the_pages_of_one_show_what_another_has(tmp_path: Path, eventually: Any) -> None:
    with itself(tmp_path / "other") as other, pages.pages(other.url, tmp_path / "pages") as shown:
        eventually(lambda: other.client.value("up") == 0)
        assert shown.client.value("up") == 0
        address = pages.page(shown.url, "up")
        with urllib.request.urlopen(address, timeout=10) as answer:
            text = answer.read().decode()
        used = re.findall(r'(?:src|href)="(/[^"]+\.(?:js|css))', text)
        assert len(used) > 10
        for path in used:
            with urllib.request.urlopen(f"{shown.url}{path}", timeout=10) as answer:
                assert answer.read(), path
