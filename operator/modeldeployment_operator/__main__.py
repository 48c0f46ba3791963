"""Wires the operator and runs it until it is told to stop."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from prometheus_client import CollectorRegistry

from modeldeployment_operator import handlers
from modeldeployment_operator.adapters import logs, page, web
from modeldeployment_operator.adapters.api import Api, connect
from modeldeployment_operator.adapters.cache import Cache
from modeldeployment_operator.adapters.cluster import Cluster
from modeldeployment_operator.adapters.discovery import Discovery
from modeldeployment_operator.adapters.fleet import Fleet, Led
from modeldeployment_operator.adapters.health import Heartbeat, problems
from modeldeployment_operator.adapters.keys import KeyRing
from modeldeployment_operator.adapters.labels import Labels
from modeldeployment_operator.adapters.lease import Lease
from modeldeployment_operator.adapters.observe import Observer
from modeldeployment_operator.adapters.pods import Pods
from modeldeployment_operator.adapters.prometheus import Prometheus
from modeldeployment_operator.adapters.prometheus_api import Address
from modeldeployment_operator.adapters.queries import Queries
from modeldeployment_operator.adapters.queue import Queue
from modeldeployment_operator.adapters.recorder import Recorder
from modeldeployment_operator.adapters.statuses import Statuses
from modeldeployment_operator.adapters.streams import Streams
from modeldeployment_operator.adapters.supervisor import keep_running
from modeldeployment_operator.adapters.telemetry import Telemetry
from modeldeployment_operator.core.errors import ApiError, DamagedKeyError, LeaseLostError
from modeldeployment_operator.core.freshness import Freshness
from modeldeployment_operator.core.kinds import OPTIONAL, WATCHED, Kind
from modeldeployment_operator.core.sight import see
from modeldeployment_operator.engine import Engine
from modeldeployment_operator.reconcile import Reconciler
from modeldeployment_operator.settings import WORKERS, Settings, SettingsError

T = TypeVar("T")

_log = logging.getLogger(__name__)
_RETRY_SECONDS: Final = 2.0


def _now() -> datetime:
    return datetime.now(UTC)


async def run(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT, or until it cannot go on."""
    pods, cache, queue, telemetry = Pods(), Cache(), Queue(), Telemetry(CollectorRegistry())
    watches = len((*WATCHED, *OPTIONAL)) * max(1, len(settings.watch_namespaces))
    api = Api(await connect(watches), telemetry)
    recorder = Recorder(api, settings.instance)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, _canceller())
    key_ring = KeyRing()
    lease = Lease(api, settings.operator_namespace, settings.instance, now=_now, monotonic=time.monotonic)
    api.may_write = pods.may_tell = lambda: lease.is_held
    telemetry.follow(queue, cache, lambda: lease.is_held, WORKERS)
    beat = Heartbeat("operator", telemetry.loop_lag_seconds, tells_stacks=True)
    beat_of_watches = Heartbeat("watches", telemetry.loop_lag_seconds)
    cluster = Cluster(api, cache, time.monotonic)
    prometheus = Prometheus(_address(settings), time.monotonic, telemetry.prometheus_query_seconds.observe)
    queries = Queries(_address(settings), time.monotonic, telemetry.prometheus_query_seconds.observe)
    labels = Labels(pods, prometheus, queries, key_ring, telemetry, now=_now, monotonic=time.monotonic)
    discovery = Discovery(api, cache, queue.add, telemetry, settings.watch_namespaces)
    observer = Observer(
        cache,
        labels,
        discovery,
        default_image=settings.serving_image,
        operator_namespace=settings.operator_namespace,
        now=_now,
        monotonic=time.monotonic,
    )
    statuses = Statuses(cluster, observer, recorder, now=_now, monotonic=time.monotonic)
    reconciler = Reconciler(observer, cluster, statuses, pods, key_ring, telemetry)
    engine = Engine(api, cache, queue, reconciler, telemetry, settings.watch_namespaces)
    call = asyncio.get_running_loop().call_soon_threadsafe  # Kopf has a thread of its own.
    streams = Streams(handlers.WATCHED, telemetry, lambda kind: call(engine.note_gap, kind))

    def note(kind: Kind, body: Mapping[str, Any], deleted: bool) -> None:
        # Trimmed in Kopf's thread: what waits to be noted is small then.
        call(functools.partial(engine.note, see(kind, body), deleted=deleted))

    fleet = Fleet(cache, observer.memories)
    led = Led(fleet, lambda: lease.is_held)
    health = functools.partial(problems, queue, beat, beat_of_watches)
    ports = [await web.serve(telemetry, led, lambda: engine.synced, health, settings.host, settings.port)]
    touch = []
    if settings.fleet_page_port is not None:
        where = (settings.fleet_page_host, settings.fleet_page_port)
        ports.append(await page.serve(fleet, lambda: _freshness(api, engine), *where, settings.fleet_page_names))
        touch.append(engine.keep_in_touch())
    try:
        await _patiently(lambda: key_ring.load(api, settings.operator_namespace))
        await engine.start()
        await discovery.start()
        await _until_first(
            beat.keep(),
            keep_running(lambda: handlers.watch(note, streams, settings.watch_namespaces, beat_of_watches), "watches"),
            engine.watch_children(),
            engine.fill_gaps(),
            discovery.keep(),
            engine.resync(),
            lease.keep(),
            engine.lead(lease.gained),
            *touch,
            *(engine.work() for _ in range(WORKERS)),
        )
    finally:
        await lease.release()
        for port in ports:
            await port.cleanup()
        await recorder.close()
        await prometheus.close()
        await queries.close()
        await pods.close()
        await api.close()


def _address(settings: Settings) -> Address | None:
    if settings.prometheus_url is None:
        return None
    return Address(settings.prometheus_url, settings.prometheus_token_file, settings.prometheus_ca_file)


def _freshness(api: Api, engine: Engine) -> Freshness:
    return Freshness(_now(), api.silence, engine.synced)


async def _patiently(call: Callable[[], Awaitable[T]]) -> T:
    """Make a call until the API server answers it."""
    while True:
        try:
            return await call()
        except ApiError as error:
            _log.warning("the start waits for the API server: %s", error)
            await asyncio.sleep(_RETRY_SECONDS)


def _canceller() -> Callable[[], object]:
    task = asyncio.current_task()
    return task.cancel if task else lambda: None


async def _until_first(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run all until one ends, and end the others; raise what it raised."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


def main() -> int:
    """Return the exit status of the process."""
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)  # Signals are not its business here.
    try:
        settings = Settings.of(os.environ)
    except SettingsError as error:
        sys.stderr.write(f"modeldeployment-operator: {error}\n")
        return 2
    logs.configure(settings.log_format)
    os.environ.setdefault("LOGNAME", "operator")  # Kopf asks for it, and a container's user need not have a name.
    try:
        asyncio.run(run(settings))
    except (DamagedKeyError, LeaseLostError) as error:
        sys.stderr.write(f"modeldeployment-operator: {error}\n")
        return 1
    except asyncio.CancelledError:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
