"""The token of the operator's ServiceAccount ends, and another lies where it was, as a kubelet renews it."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from kubernetes import client, config

from tests.integration.conftest import ControlPlane
from tests.integration.operator_process import KeptAlive, Operator
from tests.integration.pod_stand_ins import Kubelet
from tests.integration.stories import Story

ACCOUNT = "operator"
_IN_A_POD = """\
from kubernetes.aio.config import incluster_config

incluster_config.SERVICE_TOKEN_FILENAME = {token!r}
incluster_config.SERVICE_CERT_FILENAME = {ca!r}
"""
"""What a pod has at a place of its own. Python reads it before the operator begins."""


@dataclass
class Tokens:
    """Tokens of a ServiceAccount: each holds as long as the Secret that it is bound to."""

    kubectl: Callable[..., str]
    file: Path
    count: int = 0

    def renew(self) -> None:
        """Write another token to where the operator reads it, as a kubelet does."""
        self.count += 1
        secret = f"token-{self.count}"
        self.kubectl("create", "secret", "generic", secret)
        bound = ("--bound-object-kind=Secret", f"--bound-object-name={secret}")
        token = self.kubectl("create", "token", ACCOUNT, *bound).strip()
        new = self.file.with_suffix(".new")
        new.write_text(token)
        new.replace(self.file)

    def end(self) -> None:
        """Have the latest token accepted no more."""
        self.kubectl("delete", "secret", f"token-{self.count}")


@pytest.fixture
def tokens(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> Tokens:
    kubectl = control_plane.in_namespace(namespace)
    kubectl("create", "serviceaccount", ACCOUNT)
    kubectl("create", "rolebinding", ACCOUNT, "--clusterrole=cluster-admin", f"--serviceaccount={namespace}:{ACCOUNT}")
    return Tokens(kubectl, tmp_path / "token")


@pytest.fixture
def running(
    control_plane: ControlPlane, namespace: str, tokens: Tokens, tmp_path: Path
) -> Iterator[tuple[Story, KeptAlive]]:
    """Run the operator as in a pod: with a token, and no kubeconfig."""
    tokens.renew()
    cluster = yaml.safe_load(control_plane.kubeconfig.read_text())["clusters"][0]["cluster"]
    ca = tmp_path / "ca.crt"
    data = cluster.get("certificate-authority-data")
    ca.write_bytes(base64.b64decode(data) if data else Path(cluster["certificate-authority"]).read_bytes())
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(_IN_A_POD.format(token=str(tokens.file), ca=str(ca)))
    server = urlsplit(cluster["server"])
    config.load_kube_config(str(control_plane.kubeconfig))
    with (
        Kubelet(client.ApiClient(), namespace) as kubelet,
        Operator(
            tmp_path / "none",
            tmp_path / "operator.log",
            namespace,
            more_paths=str(site),
            KUBERNETES_SERVICE_HOST=str(server.hostname),
            KUBERNETES_SERVICE_PORT=str(server.port),
        ) as operator,
        KeptAlive(operator) as kept,
    ):
        yield Story(tokens.kubectl, namespace, kubelet, operator), kept


@pytest.mark.timeout(400)
def test_a_token_that_is_renewed_before_it_ends(running: tuple[Story, KeptAlive], tokens: Tokens) -> None:
    """It is read anew each minute; the kubelet renews it long before it ends."""
    story, kept = running
    story.apply(model=1, replicas=1)
    first = story.wait_for(lambda status: status.get("servingRevision"), "the first model serves")
    renewed = time.monotonic()
    old = tokens.count
    tokens.renew()
    time.sleep(65)
    tokens.kubectl("delete", "secret", f"token-{old}")
    time.sleep(max(0.0, renewed + 80 - time.monotonic()))  # The API server remembers a token for 10 seconds.
    story.apply(model=2, replicas=1)
    story.wait_for(lambda status: status["servingRevision"] not in {"", first}, "the next model serves")
    assert kept.restarts == 0


@pytest.mark.timeout(400)
def test_a_token_that_ends_before_it_is_renewed(running: tuple[Story, KeptAlive], tokens: Tokens) -> None:
    """The operator cannot renew its Lease meanwhile, and ends once; then it waits until it is let in again."""
    story, kept = running
    story.apply(model=1, replicas=1)
    first = story.wait_for(lambda status: status.get("servingRevision"), "the first model serves")
    tokens.end()
    story.wait_until(lambda: kept.restarts == 1, "the operator is not let in any more", seconds=60)
    time.sleep(5)
    said = len(story.operator.log.read_text().splitlines())
    tokens.renew()
    story.apply(model=2, replicas=1)
    story.wait_for(lambda status: status["servingRevision"] not in {"", first}, "the next model serves", seconds=100)
    assert kept.restarts == 1
    assert said < 300
    assert json.loads(story.kubectl("get", "deployment", first, "-o", "json"))["metadata"]["name"] == first
