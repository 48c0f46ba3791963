"""The operator's environment."""

from __future__ import annotations

import pytest
from modeldeployment_operator.settings import HTTP_PORT, Settings, SettingsError

LEAST = {"SERVING_IMAGE": "server:1", "OPERATOR_NAMESPACE": "modelops"}


def test_the_least() -> None:
    assert Settings.of(LEAST) == Settings("server:1", "modelops", (), "local", port=HTTP_PORT)


def test_everything() -> None:
    more = {"WATCH_NAMESPACES": "a, b,,", "POD_NAME": "operator-0", "HTTP_PORT": "0", "HTTP_HOST": "127.0.0.1"}

    assert Settings.of(LEAST | more) == Settings("server:1", "modelops", ("a", "b"), "operator-0", "127.0.0.1", 0)


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
