"""Runs all ports in one process, from loading the model to the last answer after SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from typing import TYPE_CHECKING, Any, Final

from model_server import contract, grpc_server
from model_server.copying import Copier
from model_server.fetch_metrics import read_report
from model_server.forwarder import Forwarder
from model_server.frontends.manager import FrontEnds
from model_server.http.access import Access
from model_server.http.limits import Bodies
from model_server.intake import Intake, Others
from model_server.keys import follow
from model_server.labelling import Revision, open_labelling, open_store
from model_server.listening import bind
from model_server.logs import event
from model_server.metrics import Metrics, Several
from model_server.one import One
from model_server.parts import ServerParts
from model_server.passing import Seal
from model_server.pods import PodClient, addresses_of
from model_server.ports import answering
from model_server.several import Loader, SeveralModels
from model_server.state import Phase, State

if TYPE_CHECKING:
    from model_server.parts import LoadedContent
    from model_server.prediction_id import Address
    from model_server.settings import Secrets, ServeSettings


SWITCH_SECONDS: Final = 0.0005
"""After which a thread that runs Python gives way to another: the loop and the threads that call the model take turns
in less time than a small model takes (decision 0015)."""


async def serve(settings: ServeSettings, secrets: Secrets) -> None:
    """Serve until SIGTERM. Raises `StartError`."""
    place = settings.place
    sys.setswitchinterval(SWITCH_SECONDS)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    client = PodClient(Access(settings.tls_dir, settings.tokens_file))
    parts = assemble(settings, secrets, client)
    if settings.traces:
        from model_server import tracing  # Here, because it takes memory and time that only those need who want traces.

        parts.tracing = tracing.start(settings)
    following = [asyncio.create_task(follow(place.keys_dir, secrets.feedback_keys))]
    frontends = _frontends(parts)
    async with (
        contextlib.aclosing(client),
        frontends.running() if frontends is not None else contextlib.nullcontext(),
        answering(parts, secrets.admin_token, frontends),
        grpc_server.listen(parts, bind(place.host, place.grpc_port), frontends),
    ):
        loading = asyncio.create_task(parts.content.load())
        if not await _done_before(stop, loading):
            return
        parts.state.enter(Phase.SERVING)
        if frontends is not None:
            frontends.start()
        following.append(asyncio.create_task(parts.content.follow()))
        await stop.wait()
        parts.state.enter(Phase.DRAINING)
        event("draining", seconds=settings.drain_seconds)
        await asyncio.sleep(settings.drain_seconds)
        if frontends is not None:
            frontends.finish()
    for task in following:
        task.cancel()
    parts.copier.close()
    if parts.store is not None:
        await parts.store.aclose()
    parts.tracing.close()
    event("stopped")


def assemble(settings: ServeSettings, secrets: Secrets, client: PodClient) -> ServerParts:
    """Put the parts together, and what will be served. Raises `StartError`."""
    place, keys = settings.place, secrets.feedback_keys
    seal = Seal(str(settings.pod_ip or settings.pod_uid or "pod"), keys)

    async def siblings() -> set[Address]:
        return await addresses_of(settings.peers_host) if settings.peers_host else set()

    path = contract.FEEDBACK_PATH_TEMPLATE.format(model=settings.model)
    others = Others(client, path, settings.feedback_port or place.http_port, seal, siblings)
    store, here = open_store(settings), dict[bytes, Intake]()
    revision = Revision(settings.model, settings.revision, settings.labels, place.state_dir)
    labelling = open_labelling(settings, revision, keys, others, store, here)
    labelling.metrics.tell_of_fetching(read_report(place.model_dir))
    page: Metrics | Several = labelling.metrics
    content: LoadedContent
    if settings.models_file is None:
        content = One(settings, labelling)
    else:
        page = Several(labelling.metrics)
        content = SeveralModels(settings.models_file, Loader(settings, keys, others, store, here, page))
    state, metrics = State(place.state_dir), labelling.metrics
    state.changed.append(lambda: metrics.tell_of_passing(state.passing))
    metrics.tell_of_passing(state.passing)
    return ServerParts(
        settings=settings,
        state=state,
        content=content,
        metrics=metrics,
        page=page,
        shadows=labelling.shadows,
        book=labelling.book if settings.models_file is None else None,
        revision=settings.revision if settings.models_file is None else "",
        store=store,
        forwarder=Forwarder(client, seal),
        seal=seal,
        copier=Copier(client.access, seal, labelling.shadows, metrics.count_copied),
        access=client.access,
        bodies=Bodies.share(1 + settings.frontend_processes, settings.max_body_bytes),
    )


def _frontends(parts: ServerParts) -> FrontEnds | None:
    """Make what starts front ends, if there shall be any."""
    if not parts.settings.frontend_processes or not isinstance(parts.content, One):
        return None
    return FrontEnds(parts, parts.content.catalog)


async def _done_before(stop: asyncio.Event, task: asyncio.Task[None]) -> bool:
    """Wait for a task; False if the server is told to stop before that is done."""
    stopping = asyncio.create_task(stop.wait())
    waiting: set[asyncio.Task[Any]] = {task, stopping}
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not task.done():
        task.cancel()
        return False
    await task
    return True
