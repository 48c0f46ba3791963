"""Pods without a node: what a kubelet and a model server would do, as far as the operator sees it.

A real API server, controller manager and scheduler make the pods; here they get an address of the loopback network,
become ready, and answer on the admin port with counts that the test decides. So a test can say what is counted, and
when, to the label. The tests in `tests/e2e` have real pods.
"""

from __future__ import annotations

import ipaddress
import itertools
import json
import os
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from kubernetes import client, watch
from model_server import contract
from urllib3.exceptions import HTTPError

_ADDRESSES = itertools.count(int(ipaddress.IPv4Address(f"127.{128 + os.getpid() % 120}.0.1")))
"""Two runs of the tests at a time seldom have the same ones."""


@dataclass
class StandIn:
    """One pod: what it counts, and what it was told."""

    name: str
    uid: str
    revision: str
    ip: str
    correct: int = 0
    wrong: int = 0
    unlabelled: int = 0
    """Predictions whose labels have not come."""
    started: str = "1"
    rotation: contract.Rotation = field(default_factory=lambda: {"forward_to": None, "share": 1.0, "copy": False})
    reachable: bool = True
    orders: list[contract.Rotation] = field(default_factory=list)
    readings: int = 0
    classes: list[contract.ClassCounts] = field(default_factory=list)
    slices: list[contract.SliceCounts] = field(default_factory=list)
    pairs: list[contract.Pairs] = field(default_factory=list)
    server: ThreadingHTTPServer | None = None

    def counts(self) -> contract.Counts:
        return {
            "revision": self.revision,
            "pod_uid": self.uid,
            "started": self.started,
            "correct": self.correct,
            "wrong": self.wrong,
            "true_positive": 0,
            "false_positive": 0,
            "true_negative": 0,
            "false_negative": 0,
            "predictions": max(0, self.correct) + self.wrong + self.unlabelled,
            "rotation": self.rotation,
            "classes": self.classes,
            "slices": self.slices,
            "pairs": self.pairs,
        }

    @property
    def forward_to(self) -> str | None:
        """Where it sends all requests, or a share, or copies."""
        return self.rotation["forward_to"]

    @forward_to.setter
    def forward_to(self, target: str | None) -> None:
        self.rotation = {"forward_to": target, "share": 1.0, "copy": False}

    def metrics(self) -> bytes:
        """What Prometheus scrapes, as a model server writes it."""
        return (
            f"# TYPE {contract.Metric.LABELS} counter\n"
            f'{contract.Metric.LABELS}{{outcome="correct"}} {float(self.correct)}\n'
            f'{contract.Metric.LABELS}{{outcome="wrong"}} {float(self.wrong)}\n'
            f"# TYPE {contract.Metric.COUNTING_INFO} gauge\n"
            f'{contract.Metric.COUNTING_INFO}{{pod_uid="{self.uid}",started="{self.started}"}} 1.0\n'
        ).encode()


class Kubelet:
    """Runs the pods of one namespace as stand-ins."""

    def __init__(self, api: client.ApiClient, namespace: str) -> None:
        self._core = client.CoreV1Api(api)
        self._namespace = namespace
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.failing: dict[str, dict[str, Any]] = {}
        """By revision: the status that its pods get instead of becoming ready."""
        self.failing_all: dict[str, Any] | None = None
        """The same for all revisions whose pods have not begun to run."""
        self.held: set[str] = set()
        """Revisions whose pods stay as they are."""
        self.pods: dict[str, StandIn] = {}
        """By UID."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join(timeout=10)
        for pod in self.pods.values():
            self._stop(pod)

    def of(self, revision: str) -> list[StandIn]:
        """Return the pods of a revision that run now."""
        return [pod for pod in list(self.pods.values()) if pod.revision == revision and pod.server]

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._follow()
            except (client.ApiException, HTTPError):
                self._stopped.wait(0.5)  # Pods run on while there is no API server.

    def _follow(self) -> None:
        there = self._core.list_namespaced_pod(self._namespace)
        for pod in there.items:
            self._see("ADDED", pod)
        uids = {pod.metadata.uid for pod in there.items}
        for uid, one in list(self.pods.items()):
            if uid not in uids:
                self._stop(one)  # It ended between two watches.
        stream = watch.Watch().stream(
            self._core.list_namespaced_pod,
            self._namespace,
            resource_version=there.metadata.resource_version,
            timeout_seconds=1,
        )
        for event in stream:
            self._see(event["type"], event["object"])
            if self._stopped.is_set():
                return

    def _see(self, kind: str, pod: client.V1Pod) -> None:
        uid, labels = pod.metadata.uid, pod.metadata.labels or {}
        revision = labels.get("modelops.dev/revision")
        if revision is None:
            return
        if kind == "DELETED":
            if uid in self.pods:
                self._stop(self.pods[uid])
        elif failure := self.failing.get(revision) or (self.failing_all if uid not in self.pods else None):
            self._patch(pod.metadata.name, failure)
        elif uid not in self.pods and revision not in self.held and pod.metadata.deletion_timestamp is None:
            self.pods[uid] = self._start(pod.metadata.name, uid, revision)

    def _start(self, name: str, uid: str, revision: str) -> StandIn:
        pod = StandIn(name, uid, revision, str(ipaddress.IPv4Address(next(_ADDRESSES))))
        pod.server = ThreadingHTTPServer((pod.ip, contract.ADMIN_PORT), _handler(pod))
        threading.Thread(target=pod.server.serve_forever, daemon=True).start()
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        ready = [{"type": kind, "status": "True", "lastTransitionTime": now} for kind in ("Ready", "ContainersReady")]
        running = {
            "name": "server",
            "image": "stand-in",
            "imageID": "stand-in",
            "ready": True,
            "restartCount": 0,
            "state": {"running": {"startedAt": now}},
        }
        ips = [{"ip": pod.ip}]
        self._patch(
            name,
            {
                "phase": "Running",
                "podIP": pod.ip,
                "podIPs": ips,
                "startTime": now,
                "conditions": ready,
                "containerStatuses": [running],
            },
        )
        return pod

    def _patch(self, name: str, status: dict[str, Any]) -> None:
        try:
            self._core.patch_namespaced_pod_status(name, self._namespace, {"status": status})
        except client.ApiException as error:
            if error.status != 404:
                raise

    def _stop(self, pod: StandIn) -> None:
        if pod.server:
            pod.server.shutdown()
            pod.server.server_close()
            pod.server = None


def _handler(pod: StandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path == contract.METRICS_PATH:
                self._answer(200, pod.metrics(), "text/plain; version=0.0.4; charset=utf-8")
                return
            pod.readings += 1
            self._answer(200 if pod.reachable else 503, json.dumps(pod.counts()).encode())

        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if pod.reachable:
                pod.rotation = json.loads(body)
                pod.orders.append(pod.rotation)
            self._answer(204 if pod.reachable else 503, b"")

        def _answer(self, code: int, body: bytes, content_type: str = "application/json") -> None:
            self.send_response(code)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    return Handler
