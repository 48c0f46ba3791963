"""The APIs of metrics that a HorizontalPodAutoscaler asks, with numbers that a test decides.

In a cluster a metrics server and an adapter serve them. Here one HTTPS server does, which the API server is told of by
APIServices; the autoscaler that asks is the real one.
"""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from kubernetes import client

from tests.serving.certificates import issued

RESOURCE = "metrics.k8s.io/v1beta1"
CUSTOM = "custom.metrics.k8s.io/v1beta2"
NAMESPACE = "kube-system"
SERVICE = "metrics-stand-in"
Json = dict[str, Any]


@dataclass
class Load:
    """What the pods of a revision are said to have to do; each does an equal part."""

    millicores: int | None = None
    """CPU of all; None if nothing is known of it."""
    metrics: dict[str, int] = field(default_factory=dict)
    """By its name, the sum of a metric of all."""
    asked: list[str] = field(default_factory=list)
    """Label selectors of what was asked for."""


class MetricsStandIn:
    """Serves both APIs to a cluster, as long as it is entered."""

    def __init__(self, api: client.ApiClient, folder: Path) -> None:
        self._core = client.CoreV1Api(api)
        self._registry = client.ApiregistrationV1Api(api)
        self.loads: dict[str, Load] = {}
        """By namespace."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        pair = issued(None, "localhost").write(folder)
        context.load_cert_chain(pair / "tls.crt", pair / "tls.key")
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        port = self._server.server_address[1]
        # No node passes a Service's address on; a name outside of the cluster the API server asks itself.
        spec = {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": port}]}
        self._core.create_namespaced_service(NAMESPACE, {"metadata": {"name": SERVICE}, "spec": spec})
        for group, version in (api.split("/") for api in (RESOURCE, CUSTOM)):
            self._registry.create_api_service(
                {
                    "metadata": {"name": f"{version}.{group}"},
                    "spec": {
                        "group": group,
                        "version": version,
                        "service": {"name": SERVICE, "namespace": NAMESPACE, "port": port},
                        "insecureSkipTLSVerify": True,
                        "groupPriorityMinimum": 100,
                        "versionPriority": 100,
                    },
                }
            )
        return self

    def __exit__(self, *_: object) -> None:
        for group, version in (api.split("/") for api in (RESOURCE, CUSTOM)):
            self._registry.delete_api_service(f"{version}.{group}")
        self._core.delete_namespaced_service(SERVICE, NAMESPACE)
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str, query: Mapping[str, list[str]]) -> Json | None:
        """Return what is asked for; None if there is no such thing."""
        group_version, *rest = path.removeprefix("/apis/").split("/namespaces/")
        if not rest:
            return _discovered(group_version)
        namespace, _, what = rest[0].partition("/")
        load, selector = self.loads.get(namespace, Load()), query.get("labelSelector", [""])[0]
        load.asked.append(selector)
        pods = [
            pod.metadata.name
            for pod in self._core.list_namespaced_pod(namespace, label_selector=selector).items
            if pod.status.phase == "Running"
        ]
        if group_version == RESOURCE:
            used = [] if load.millicores is None else pods
            usages = [_usage(namespace, pod, (load.millicores or 0) // len(pods)) for pod in used]
            return _of("PodMetricsList", RESOURCE, usages)
        metric = what.rpartition("/")[2]
        known = pods if metric in load.metrics else []
        values = [_value(namespace, pod, metric, load.metrics[metric] * 1000 // len(pods)) for pod in known]
        return _of("MetricValueList", CUSTOM, values)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _of(kind: str, api_version: str, items: list[Json]) -> Json:
    return {"kind": kind, "apiVersion": api_version, "metadata": {}, "items": items}


def _usage(namespace: str, pod: str, millicores: int) -> Json:
    usage = {"name": "server", "usage": {"cpu": f"{millicores}m", "memory": "1Mi"}}
    metadata = {"name": pod, "namespace": namespace}
    return {"metadata": metadata, "timestamp": _now(), "window": "15s", "containers": [usage]}


def _value(namespace: str, pod: str, metric: str, thousandths: int) -> Json:
    return {
        "describedObject": {"kind": "Pod", "namespace": namespace, "name": pod, "apiVersion": "/v1"},
        "metric": {"name": metric},
        "timestamp": _now(),
        "value": f"{thousandths}m",
    }


def _discovered(group_version: str) -> Json | None:
    names = {RESOURCE: ("pods", "PodMetrics"), CUSTOM: ("pods/*", "MetricValueList")}
    if group_version not in names:
        return None
    name, kind = names[group_version]
    resource = {"name": name, "singularName": "", "namespaced": True, "kind": kind, "verbs": ["get", "list"]}
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": [resource]}


def _handler(stand_in: MetricsStandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            answer = stand_in.answer(url.path.rstrip("/"), parse_qs(url.query))
            body = json.dumps(answer).encode()
            self.send_response(404 if answer is None else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    return Handler
