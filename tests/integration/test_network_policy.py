"""The NetworkPolicy comes and goes with its field, and the API server has nothing against it."""

from __future__ import annotations

import json
from typing import Any

from tests.integration.stories import Story

POLICY: dict[str, Any] = {
    "clients": [{"namespaceSelector": {"matchLabels": {"team": "shop"}}}],
    "feedback": [{"podSelector": {"matchLabels": {"app": "labeller"}}}],
    "monitoring": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}],
    "egress": [{"to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}], "ports": [{"port": 443}]}],
}


def test_it_comes_and_goes_with_its_field(story: Story) -> None:
    def policies() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(story.kubectl("get", "networkpolicies", "-o", "json"))["items"]
        return found

    story.apply(1, serving={"networkPolicy": POLICY, "feedbackPort": 8503})
    story.wait_until(policies, "the policy is there")
    (policy,) = policies()
    operator = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": story.namespace}}}
    assert policy["metadata"]["name"] == story.name
    assert operator in policy["spec"]["ingress"][2]["from"]
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    deployments = story.kubectl("get", "deployments", "-o", "name")

    story.apply(1)
    story.wait_until(lambda: not policies(), "the policy is gone")
    assert story.kubectl("get", "deployments", "-o", "name") == deployments


def test_one_that_the_cluster_refuses_is_told_of(story: Story) -> None:
    story.apply(1, serving={"networkPolicy": {"clients": [{"ipBlock": {"cidr": "everywhere"}}]}})

    story.wait_until(lambda: story.condition("Ready").get("reason") == "ApplyRefused", "it is told")
    assert "NetworkPolicy news" in story.condition("Ready")["message"]
    assert "everywhere" in story.condition("Ready")["message"]
