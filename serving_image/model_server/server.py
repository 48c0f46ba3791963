"""Runs both ports in one process, from loading the model to the last answer after SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from model_server import contract, cpus, grpc_server, loading
from model_server.classes import class_count
from model_server.contract import Env, StartFailure
from model_server.dataplane.one_model import OneModel
from model_server.errors import StartError
from model_server.fetch_metrics import read_report
from model_server.forwarder import Forwarder
from model_server.http.access import Access
from model_server.intake import Others
from model_server.keys import follow
from model_server.labelling import Revision, open_labelling, open_store
from model_server.logs import event
from model_server.parts import Parts
from model_server.passing import Seal
from model_server.pods import PodClient, addresses_of
from model_server.ports import answering
from model_server.preparation.parent import saved_model_of
from model_server.state import Phase, State
from model_server.tensors import DEFAULT_SIGNATURE

if TYPE_CHECKING:
    from model_server.prediction_id import Address
    from model_server.settings import Secrets, ServeSettings
    from model_server.tensors import Model

SWITCH_SECONDS: Final = 0.0005
"""After which a thread that runs Python gives way to another: the loop and the threads that call the model take turns
in less time than a small model takes (decision 0015)."""


async def serve(settings: ServeSettings, secrets: Secrets) -> bool:
    """Serve until SIGTERM. Raises `StartError`. False if it ended while the model was loading."""
    sys.setswitchinterval(SWITCH_SECONDS)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    client = PodClient(Access(settings.tls_dir, settings.tokens_file))
    parts = assemble(settings, secrets, client)
    if settings.traces:
        from model_server import tracing  # Here, because it takes memory and time that only those need who want traces.

        parts.tracing = tracing.start(settings)
    following = asyncio.create_task(follow(settings.place.keys_dir, secrets.feedback_keys))
    async with (
        contextlib.aclosing(client),
        answering(parts, secrets.admin_token),
        grpc_server.listen(parts),
    ):
        started = time.monotonic()
        model = await _load_unless(stop, settings)
        if model is None:
            return False
        parts.begin(model, max(2, cpus.available()), load_seconds=time.monotonic() - started)
        await stop.wait()
        parts.state.phase = Phase.DRAINING
        event("draining", seconds=settings.drain_seconds)
        await asyncio.sleep(settings.drain_seconds)
    following.cancel()
    if parts.store is not None:
        await parts.store.aclose()
    parts.tracing.close()
    event("stopped")
    return True


def assemble(settings: ServeSettings, secrets: Secrets, client: PodClient) -> Parts:
    """Put the parts together. Raises `StartError`."""
    place, keys = settings.place, secrets.feedback_keys
    seal = Seal(str(settings.pod_ip or settings.pod_uid or "pod"), keys)

    async def siblings() -> set[Address]:
        return await addresses_of(settings.peers_host) if settings.peers_host else set()

    path = contract.MODEL_PATH_TEMPLATE.format(model=settings.model) + contract.FEEDBACK_SUFFIX
    others = Others(client, path, settings.feedback_port or place.http_port, seal, siblings)
    store = open_store(settings)
    revision = Revision(settings.model, settings.revision, settings.labels, place.state_dir)
    labelling = open_labelling(settings, revision, keys, others, store, {})
    labelling.metrics.tell_of_fetching(read_report(place.model_dir))
    return Parts(
        settings=settings,
        state=State(place.state_dir),
        catalog=OneModel(settings.model, int(settings.version), settings.revision, labelling.intake),
        book=labelling.book,
        metrics=labelling.metrics,
        labelling=labelling,
        store=store,
        forwarder=Forwarder(client, seal),
        seal=seal,
        access=client.access,
    )


def load_model(settings: ServeSettings) -> Model:
    """Find, check, load and warm up the model. Blocks for seconds. Raises `StartError`."""
    found = loading.find_model(settings.place.model_dir, settings.format)
    with saved_model_of(found, settings.extra_ops) as path:
        from model_server import engine  # Here, because it takes a second: what is no model is told at once.

        model = engine.load(path, settings.extra_ops, cpus.available())
        engine.warm_up(model, (1,))
    classes = class_count(model.signatures[DEFAULT_SIGNATURE])
    if settings.labels is not None and classes is not None and len(settings.labels) != classes:
        raise StartError(
            StartFailure.BAD_SETTINGS,
            f"{Env.MODEL_LABELS} has {len(settings.labels)} names, but the model tells {classes} classes apart",
        )
    grpc_server.prepare()
    gc.collect()
    gc.freeze()  # TensorFlow's millions of objects stay: later collections need not look at them.
    return model


async def _load_unless(stop: asyncio.Event, settings: ServeSettings) -> Model | None:
    """Load the model while the ports answer; None if the server is told to stop before that is done."""
    loop = asyncio.get_running_loop()
    loaded: asyncio.Future[Model] = loop.create_future()

    def work() -> None:
        try:
            model = load_model(settings)
        except Exception as error:  # It is raised again, by the one who waits.
            loop.call_soon_threadsafe(loaded.set_exception, error)
        else:
            loop.call_soon_threadsafe(loaded.set_result, model)

    threading.Thread(target=work, name="load", daemon=True).start()
    stopping = asyncio.ensure_future(stop.wait())
    waiting: set[asyncio.Future[Any]] = {loaded, stopping}
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    return loaded.result() if loaded.done() else None
