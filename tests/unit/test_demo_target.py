"""How the demo finds its cluster, and what it says when it cannot."""

from __future__ import annotations

import io
import shutil

import pytest

from tests.cluster import ClusterError, requirements
from tests.demo import target
from tests.demo.console import Console
from tests.demo.errors import SetupError
from tests.demo.kubectl import Kubectl, KubectlError


def test_a_cluster_of_the_users_needs_names_of_images() -> None:
    with pytest.raises(SetupError, match="set OPERATOR_IMAGE and SERVING_IMAGE to names it can pull"):
        target.of_context("mine", {})
    with pytest.raises(SetupError, match="set SERVING_IMAGE to"):
        target.of_context("mine", {"OPERATOR_IMAGE": "example.com/operator:v1"})


def test_a_cluster_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> str:
        raise KubectlError("no such host")

    monkeypatch.setattr(shutil, "which", lambda _: "/bin/kubectl")
    monkeypatch.setattr(Kubectl, "run", fail)
    with pytest.raises(SetupError, match="context mine does not answer: no such host"):
        target.of_context("mine", {"OPERATOR_IMAGE": "a", "SERVING_IMAGE": "b"})


def test_missing_tools_are_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def lack(_: object) -> None:
        raise ClusterError("A cluster with pods needs `runc`, which this machine lacks. Install them: …")

    monkeypatch.setattr(requirements, "check", lack)
    monkeypatch.setattr(requirements, "check_rights", lambda _: None)
    monkeypatch.setattr(requirements, "install_tools", lambda: done.append("installed"))
    output = io.StringIO()
    target.require_tools(Console(output))
    assert done == ["installed"]
    assert "needs `runc`" in output.getvalue()


def test_missing_rights_are_told_and_nothing_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise ClusterError("needs root")

    monkeypatch.setattr(requirements, "check", refuse)
    monkeypatch.setattr(requirements, "check_rights", refuse)
    monkeypatch.setattr(requirements, "install_tools", lambda: pytest.fail("installed without rights"))
    with pytest.raises(ClusterError, match="needs root"):
        target.require_tools(Console(io.StringIO()))
