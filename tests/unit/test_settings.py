"""The operator's environment."""

from __future__ import annotations

from pathlib import Path

import pytest
from modeldeployment_operator.settings import HTTP_PORT, LogFormat, Settings, SettingsError

LEAST = {"SERVING_IMAGE": "server:1", "OPERATOR_NAMESPACE": "modelops"}


def test_the_least() -> None:
    assert Settings.of(LEAST) == Settings("server:1", "modelops", (), "local", port=HTTP_PORT)


def test_everything() -> None:
    more = {"WATCH_NAMESPACES": "a, b,,", "POD_NAME": "operator-0", "HTTP_PORT": "0", "HTTP_HOST": "127.0.0.1"}

    assert Settings.of(LEAST | more) == Settings("server:1", "modelops", ("a", "b"), "operator-0", "127.0.0.1", 0)


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("", None),
        (" ", None),
        ("http://prometheus-operated.monitoring.svc:9090", "http://prometheus-operated.monitoring.svc:9090"),
        ("https://mimir.example.com/prometheus/", "https://mimir.example.com/prometheus"),
        ("http://[fd00::1]:9090", "http://[fd00::1]:9090"),
    ],
)
def test_prometheus(given: str, url: str | None) -> None:
    assert Settings.of(LEAST | {"PROMETHEUS_URL": given}).prometheus_url == url


def test_files_for_prometheus() -> None:
    files = {"PROMETHEUS_TOKEN_FILE": "/var/run/token", "PROMETHEUS_CA_FILE": "/etc/ca.pem"}
    settings = Settings.of(LEAST | files)

    assert settings.prometheus_token_file == Path("/var/run/token")
    assert settings.prometheus_ca_file == Path("/etc/ca.pem")


@pytest.mark.parametrize(
    "url",
    ["prometheus:9090", "ftp://prometheus", "http://", "http://h:99999", "http://h?x=1", "http://h#x", "http://a b"],
)
def test_an_address_of_prometheus_that_is_none(url: str) -> None:
    with pytest.raises(SettingsError, match=r"PROMETHEUS_URL is .*: write http://HOST:PORT"):
        Settings.of(LEAST | {"PROMETHEUS_URL": url})


def test_a_password_would_be_shown() -> None:
    with pytest.raises(SettingsError, match="use PROMETHEUS_TOKEN_FILE") as refused:
        Settings.of(LEAST | {"PROMETHEUS_URL": "http://user:secret@h"})
    assert "secret" not in str(refused.value)


def test_there_is_no_page_unless_it_is_asked_for() -> None:
    assert Settings.of(LEAST).fleet_page_port is None


def test_a_page_is_for_who_is_in_the_pod_unless_said_otherwise() -> None:
    asked = Settings.of(LEAST | {"FLEET_PAGE_PORT": "8090"})
    opened = Settings.of(LEAST | {"FLEET_PAGE_PORT": "0", "FLEET_PAGE_HOST": "::", "FLEET_PAGE_NAMES": "a.b, c"})

    assert (asked.fleet_page_port, asked.fleet_page_host, asked.fleet_page_names) == (8090, "127.0.0.1", ())
    assert (opened.fleet_page_port, opened.fleet_page_host, opened.fleet_page_names) == (0, "::", ("a.b", "c"))


@pytest.mark.parametrize("port", ["", "no", "70000"])
def test_a_port_of_the_page_that_is_none(port: str) -> None:
    with pytest.raises(SettingsError, match=r"FLEET_PAGE_PORT is .*: give a port number, or leave it out"):
        Settings.of(LEAST | {"FLEET_PAGE_PORT": port})


def test_the_page_has_a_port_of_its_own() -> None:
    with pytest.raises(SettingsError, match="HTTP_PORT and FLEET_PAGE_PORT are both 8080"):
        Settings.of(LEAST | {"FLEET_PAGE_PORT": "8080"})


@pytest.mark.parametrize("name", LEAST)
@pytest.mark.parametrize("value", [None, "", " "])
def test_what_is_missing_is_named(name: str, value: str | None) -> None:
    environment = LEAST | {name: value} if value is not None else {key: LEAST[key] for key in LEAST if key != name}

    with pytest.raises(SettingsError, match=rf"{name} is not set: .*; manifests/base/deployment.yaml shows how"):
        Settings.of(environment)


@pytest.mark.parametrize("port", ["http", "-1", "65536", "80.5", "", "²"])
def test_a_port_that_is_none(port: str) -> None:
    with pytest.raises(SettingsError, match="give a port number"):
        Settings.of(LEAST | {"HTTP_PORT": port})


def test_log_lines_are_for_people_unless_said_otherwise() -> None:
    assert Settings.of(LEAST).log_format is LogFormat.TEXT
    assert Settings.of(LEAST | {"LOG_FORMAT": ""}).log_format is LogFormat.TEXT
    assert Settings.of(LEAST | {"LOG_FORMAT": "json"}).log_format is LogFormat.JSON
    with pytest.raises(SettingsError, match="LOG_FORMAT is 'xml': give text or json"):
        Settings.of(LEAST | {"LOG_FORMAT": "xml"})
