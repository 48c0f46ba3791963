"""Why pods do not come up, from statuses as kubelets, schedulers and controllers write them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from model_server.contract import StartFailure
from modeldeployment_operator.api.conditions import Reason
from modeldeployment_operator.core.observation import Problem
from modeldeployment_operator.core.startup import pod_problem, workload_problem


def container(name: str = "server", **state: Any) -> dict[str, Any]:
    last = state.pop("last", {})
    return {
        "name": name,
        "image": "registry.example/server:1",
        "ready": False,
        "restartCount": 1 if last else 0,
        "state": state,
        "lastState": last,
    }


def pod(*containers: dict[str, Any], init: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    scheduled = {"type": "PodScheduled", "status": "True"}
    return {
        "status": {
            "phase": "Pending",
            "conditions": [{"type": "Ready", "status": "False", "reason": "ContainersNotReady"}, scheduled],
            "initContainerStatuses": list(init),
            "containerStatuses": list(containers),
        }
    }


def ended(code: int, message: str = "", **more: Any) -> dict[str, Any]:
    reason = {"reason": "Completed" if code == 0 else "Error"}
    return {"terminated": {"exitCode": code, **reason, **({"message": message} if message else {}), **more}}


WAITING = {"waiting": {"reason": "PodInitializing"}}
FETCHED = container("fetch", **ended(0)) | {"ready": True}
BACK_OFF = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s restarting failed container"}}
GONE = json.dumps({"reason": "FetchFailed", "message": "https://models/m.keras: 404 Not Found"})

CASES: dict[str, tuple[dict[str, Any], Reason, str]] = {
    "image cannot be pulled": (
        pod(container(waiting={"reason": "ImagePullBackOff", "message": "manifest unknown"}), init=(FETCHED,)),
        Reason.IMAGE_PULL_FAILED,
        "image registry.example/server:1 cannot be pulled: manifest unknown; check spec.serving.image and "
        "spec.serving.imagePullSecrets",
    ),
    "image pull backs off, without a message": (
        pod(container(**WAITING), init=(container("fetch", waiting={"reason": "ImagePullBackOff"}),)),
        Reason.IMAGE_PULL_FAILED,
        "image registry.example/server:1 cannot be pulled: ImagePullBackOff; check spec.serving.image and "
        "spec.serving.imagePullSecrets",
    ),
    "fetch backs off": (
        pod(container(**WAITING), init=(container("fetch", **BACK_OFF, last=ended(1, GONE)),)),
        Reason.FETCH_FAILED,
        "https://models/m.keras: 404 Not Found",
    ),
    "fetch is tried again": (
        pod(container(**WAITING), init=(container("fetch", running={"startedAt": "x"}, last=ended(1, GONE)),)),
        Reason.FETCH_FAILED,
        "https://models/m.keras: 404 Not Found",
    ),
    "out of memory": (
        pod(container(**BACK_OFF, last=ended(137, reason="OOMKilled")), init=(FETCHED,)),
        Reason.CRASH_LOOP,
        "container server was killed: it used more memory than spec.serving.resources.limits.memory allows",
    ),
    "out of memory while the model is prepared": (
        pod(container(**WAITING), init=(container("fetch", **BACK_OFF, last=ended(137, reason="OOMKilled")),)),
        Reason.CRASH_LOOP,
        "container fetch was killed: it used more memory than spec.serving.fetchResources.limits.memory (or, where "
        "that is not given, spec.serving.resources.limits.memory) allows",
    ),
    "crash loop with a log": (
        pod(container(**BACK_OFF, last=ended(1, "Traceback …\nImportError: no module\n")), init=(FETCHED,)),
        Reason.CRASH_LOOP,
        "container server ended with exit code 1: Traceback …\nImportError: no module",
    ),
    "crash by a signal": (
        pod(container(**BACK_OFF, last=ended(139, signal=11)), init=(FETCHED,)),
        Reason.CRASH_LOOP,
        "container server ended with signal 11",
    ),
    "a Secret is missing": (
        pod(container(waiting={"reason": "CreateContainerConfigError", "message": 'secret "s3" not found'})),
        Reason.POD_REFUSED,
        'container server cannot be made: secret "s3" not found',
    ),
    "no node has room": (
        {
            "status": {
                "phase": "Pending",
                "conditions": [
                    {
                        "type": "PodScheduled",
                        "status": "False",
                        "reason": "Unschedulable",
                        "message": "0/3 nodes are available: 3 Insufficient memory.",
                    }
                ],
            }
        },
        Reason.UNSCHEDULABLE,
        "no node has room for the pod: 0/3 nodes are available: 3 Insufficient memory.",
    ),
}


@pytest.mark.parametrize(("body", "reason", "message"), CASES.values(), ids=CASES)
def test_a_pod_that_does_not_come_up(body: dict[str, Any], reason: Reason, message: str) -> None:
    assert pod_problem(body) == Problem(reason, message)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({}, id="just made"),
        pytest.param(pod(container(**WAITING), init=(container("fetch", running={}),)), id="fetching"),
        pytest.param(pod(container(running={}), init=(FETCHED,)), id="loading"),
        pytest.param(pod(container(running={}, last=ended(0)), init=(FETCHED,)), id="ended well once"),
        pytest.param(pod(container(running={}, last=ended(1, GONE)) | {"ready": True}), id="ready after a crash"),
    ],
)
def test_a_pod_that_is_on_its_way(body: dict[str, Any]) -> None:
    assert pod_problem(body) is None


@pytest.mark.parametrize("failure", StartFailure)
def test_what_the_server_says_of_itself_is_the_reason(failure: StartFailure) -> None:
    text = json.dumps({"reason": failure.value, "message": "so"})

    assert pod_problem(pod(container(**BACK_OFF, last=ended(1, text)))) == Problem(Reason(failure.value), "so")


@pytest.mark.parametrize(
    "text", ['{"reason": "Other", "message": "x"}', '{"reason": "FetchFailed"}', "[1]", "null", "{"]
)
def test_what_is_not_in_the_agreed_form_is_a_log(text: str) -> None:
    problem = pod_problem(pod(container(**BACK_OFF, last=ended(1, text))))

    assert problem == Problem(Reason.CRASH_LOOP, f"container server ended with exit code 1: {text}")


def test_of_a_long_log_the_end_is_told() -> None:
    problem = pod_problem(pod(container(**BACK_OFF, last=ended(1, "x" * 4000 + "the end"))))

    assert problem is not None
    assert len(problem.message) < 700
    assert problem.message.endswith("the end")


def test_a_quota_that_is_used_up() -> None:
    message = 'pods "m-1-abc" is forbidden: exceeded quota: small, requested: cpu=2, used: cpu=4, limited: cpu=4'
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}

    assert workload_problem({"status": {"conditions": [failure]}}) == Problem(
        Reason.POD_REFUSED, f"the cluster refuses the pods: {message}"
    )
    assert workload_problem({"status": {"conditions": [failure | {"status": "False"}]}}) is None
    assert workload_problem({}) is None
