"""Why a pod does not come up, read from its status.

A container of the serving image that gives up says why in its termination message; everything else is in the words
of the kubelet and the scheduler.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from model_server.contract import StartFailure

from modeldeployment_operator.api.conditions import Reason
from modeldeployment_operator.core.observation import Problem
from modeldeployment_operator.core.resources.containers import FETCH_CONTAINER

_IMAGE_REASONS: Final = {"ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"}
_CONFIG_REASONS: Final = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
_OUT_OF_MEMORY: Final = "OOMKilled"
_SERVERS_LIMIT: Final = "spec.serving.resources.limits.memory"
_MEMORY_LIMIT: Final = {
    FETCH_CONTAINER: f"spec.serving.fetchResources.limits.memory (or, where that is not given, {_SERVERS_LIMIT})"
}
_MESSAGE_LENGTH: Final = 600


def pod_problem(pod: Mapping[str, Any]) -> Problem | None:
    """Return why a pod is not on its way to being ready; None if it is."""
    status = pod.get("status", {})
    for condition in status.get("conditions", ()):
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "Unschedulable":
            return Problem(Reason.UNSCHEDULABLE, f"no node has room for the pod: {condition.get('message', '')}")
    containers = (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ()))
    problems = (problem for container in containers for problem in _container_problems(container))
    return next(problems, None)


def workload_problem(deployment: Mapping[str, Any]) -> Problem | None:
    """Return why a Deployment makes no pods; None if it does."""
    for condition in deployment.get("status", {}).get("conditions", ()):
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            return Problem(Reason.POD_REFUSED, f"the cluster refuses the pods: {condition.get('message', '')}")
    return None


def _container_problems(container: Mapping[str, Any]) -> Iterator[Problem]:
    if container.get("ready"):
        return
    state, name = container.get("state", {}), container.get("name", "")
    waiting = state.get("waiting", {})
    if waiting.get("reason") in _IMAGE_REASONS:
        yield Problem(
            Reason.IMAGE_PULL_FAILED,
            f"image {container.get('image')} cannot be pulled: {_short(waiting.get('message', waiting['reason']))}; "
            "check spec.serving.image and spec.serving.imagePullSecrets",
        )
    if waiting.get("reason") in _CONFIG_REASONS:
        message = _short(waiting.get("message", waiting["reason"]))
        yield Problem(Reason.POD_REFUSED, f"container {name} cannot be made: {message}")
    for ended in (state.get("terminated"), container.get("lastState", {}).get("terminated")):
        if ended and ended.get("exitCode") != 0:
            problem = _failure(name, ended)
            if problem.reason is Reason.FETCH_FAILED and not container.get("restartCount"):
                continue  # A network may fail once: it is told when it has failed again.
            yield problem


def _failure(container: str, ended: Mapping[str, Any]) -> Problem:
    """Return what a container that ended said of itself, or else how it ended."""
    text = ended.get("message", "")
    try:
        told = json.loads(text)
        reason = StartFailure(told["reason"])
        return Problem(Reason(reason.value), _short(str(told["message"])))
    except (ValueError, TypeError, KeyError):
        pass
    if ended.get("reason") == _OUT_OF_MEMORY:
        advice = f"it used more memory than {_MEMORY_LIMIT.get(container, _SERVERS_LIMIT)} allows"
        return Problem(Reason.CRASH_LOOP, f"container {container} was killed: {advice}")
    how = f"signal {ended['signal']}" if ended.get("signal") else f"exit code {ended.get('exitCode')}"
    last = f": {_short(text.strip())}" if text.strip() else ""
    return Problem(Reason.CRASH_LOOP, f"container {container} ended with {how}{last}")


def _short(message: str) -> str:
    """Return the end of a long message: the last lines of a log are those that tell."""
    return message if len(message) <= _MESSAGE_LENGTH else "…" + message[-_MESSAGE_LENGTH:]
