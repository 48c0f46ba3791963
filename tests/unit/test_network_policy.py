"""Who may talk with the pods where a NetworkPolicy is asked for, and with whom they may."""

from __future__ import annotations

from typing import Any

import pytest
from modeldeployment_operator.core import names
from modeldeployment_operator.core.decision import Decision
from modeldeployment_operator.core.resources import desired
from modeldeployment_operator.core.resources.secret import Keys

from tests.support.network_policies import End, may_connect, pod
from tests.support.observations import an_observation

KEYS = Keys("f" * 64, "a" * 64)
GRPC, HTTP, ADMIN, FEEDBACK = 8500, 8501, 8502, 8503


def server(namespace: str, name: str, revision: str) -> End:
    return pod(namespace, **(names.common_labels(name) | names.pod_selector(name, revision)))


SERVER, SIBLING = server("team", "m", "m-1"), server("team", "m", "m-2")
OTHER_MODEL, SAME_NAME_ELSEWHERE = server("team", "other", "other-1"), server("rivals", "m", "m-1")
SHOP, LABELLER = pod("shop", app="shop"), pod("shop", app="labeller")
OPERATOR = pod("modelops-system", **{"app.kubernetes.io/name": "modeldeployment-operator"})
PROMETHEUS = pod("monitoring", **{"app.kubernetes.io/name": "prometheus"})
OUTSIDE = End()
STORE = End(ip="198.51.100.7")
DNS = pod("kube-system", **{"k8s-app": "kube-dns"})
CLIENTS = [SHOP, LABELLER, OTHER_MODEL, SAME_NAME_ELSEWHERE, OUTSIDE, PROMETHEUS]


def policy(**given: Any) -> dict[str, Any]:
    port = {"feedbackPort": FEEDBACK} if given.pop("labels_have_a_port", False) else {}
    builder = (
        an_observation().spec(serving={"networkPolicy": given, **port}).having(operator_namespace="modelops-system")
    )
    observation = builder.knows("m-1").obj()
    (made,) = [one for one in desired(observation, Decision("m-1"), KEYS) if one["kind"] == "NetworkPolicy"]
    return made


def reaches(made: dict[str, Any], source: End, port: int) -> bool:
    return may_connect(made, source, SERVER, port)


def leaves(made: dict[str, Any], to: End, port: int, protocol: str = "TCP") -> bool:
    return may_connect(made, SERVER, to, port, protocol)


def test_none_unless_asked_for() -> None:
    made = desired(an_observation().knows("m-1").obj(), Decision("m-1"), KEYS)

    assert "NetworkPolicy" not in {one["kind"] for one in made}


def test_it_is_there_before_the_first_pod() -> None:
    observation = an_observation().spec(serving={"networkPolicy": {}}).obj()
    kinds = [one["kind"] for one in desired(observation, Decision(None, candidate="m-1"), KEYS)]

    assert kinds.index("NetworkPolicy") < kinds.index("Deployment")


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("port", [GRPC, HTTP])
def test_clients_come_from_anywhere(client: End, port: int) -> None:
    assert reaches(policy(), client, port)


@pytest.mark.parametrize("client", [OPERATOR, PROMETHEUS])
def test_the_admin_port_is_for_the_operator_and_prometheus(client: End) -> None:
    assert reaches(policy(), client, ADMIN)


@pytest.mark.parametrize("client", [SHOP, OTHER_MODEL, SAME_NAME_ELSEWHERE, SIBLING, OUTSIDE])
def test_the_admin_port_is_for_nobody_else(client: End) -> None:
    assert not reaches(policy(), client, ADMIN)


@pytest.mark.parametrize("port", [22, 8080, FEEDBACK])
def test_what_nobody_listens_on_is_closed(port: int) -> None:
    assert not reaches(policy(), SHOP, port)


def test_who_may_send_requests() -> None:
    made = policy(clients=[{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}}])

    assert [client for client in CLIENTS if reaches(made, client, HTTP)] == [SHOP, LABELLER]
    assert [client for client in CLIENTS if reaches(made, client, GRPC)] == [SHOP, LABELLER]
    assert reaches(made, SIBLING, HTTP), "pods pass requests on to each other"
    assert not reaches(made, OPERATOR, HTTP)
    assert reaches(made, OPERATOR, ADMIN)


@pytest.mark.parametrize(
    ("given", "senders"),
    [
        ({}, CLIENTS),
        ({"clients": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "shop"}}}]}, [SHOP]),
        ({"feedback": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "labeller"}}}]}, [LABELLER]),
    ],
)
def test_who_may_send_labels_to_their_own_port(given: dict[str, Any], senders: list[End]) -> None:
    made = policy(labels_have_a_port=True, **given)

    assert [client for client in CLIENTS if reaches(made, client, FEEDBACK)] == senders
    assert reaches(made, SIBLING, FEEDBACK), "pods pass labels on to each other"


def test_who_may_read_metrics() -> None:
    made = policy(monitoring=[{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "agent"}}}])

    assert reaches(made, pod("agents", app="agent"), ADMIN)
    assert reaches(made, OPERATOR, ADMIN)
    assert not reaches(made, PROMETHEUS, ADMIN)


def test_the_pods_go_where_they_like_unless_it_is_said_where() -> None:
    assert "Egress" not in policy()["spec"]["policyTypes"]
    assert leaves(policy(), OUTSIDE, 443)


def test_the_pods_go_nowhere_but_to_each_other_and_to_dns() -> None:
    made = policy(egress=[])

    assert leaves(made, SIBLING, HTTP)
    assert leaves(made, DNS, 53)
    assert leaves(made, DNS, 53, "UDP")
    assert not leaves(made, DNS, 443)
    assert [to for to in (OTHER_MODEL, SAME_NAME_ELSEWHERE, STORE, OUTSIDE) if leaves(made, to, 443)] == []


def test_the_pods_go_to_the_models_store() -> None:
    store = {"to": [{"ipBlock": {"cidr": "198.51.100.0/24"}}], "ports": [{"port": 443}]}
    made = policy(egress=[store])

    assert leaves(made, STORE, 443)
    assert not leaves(made, STORE, 80)
    assert not leaves(made, OUTSIDE, 443)


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        (
            [{"port": 443}, {"port": 53, "protocol": "UDP"}],
            [{"port": 443, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}],
        ),
        (None, None),
        (["https"], ["https"]),
    ],
)
def test_a_users_rule_is_written_as_the_api_server_keeps_it(ports: Any, expected: Any) -> None:
    """Else it would look changed at each restart of the operator; what makes no sense is the API server's to refuse."""
    rule = {"to": []} | ({} if ports is None else {"ports": ports})

    assert policy(egress=[rule])["spec"]["egress"][-1].get("ports") == expected


def test_pods_of_other_models_are_not_concerned() -> None:
    made = policy(egress=[])

    assert may_connect(made, OUTSIDE, OTHER_MODEL, ADMIN)
    assert may_connect(made, OTHER_MODEL, OUTSIDE, 443)
