"""Whether the operator hears of the cluster: what its page says of how old it is rests on that."""

from __future__ import annotations

import pytest
from aiohttp import web
from kubernetes.aio import client
from modeldeployment_operator.adapters.api import Api
from modeldeployment_operator.adapters.telemetry import Telemetry
from modeldeployment_operator.core.errors import ApiError
from modeldeployment_operator.core.kinds import SERVICE
from prometheus_client import CollectorRegistry


@pytest.mark.parametrize(
    ("status", "heard"),
    [
        pytest.param(404, True, id="there is no such object"),
        pytest.param(403, True, id="this is not for the operator"),
        pytest.param(401, False, id="the operator is not let in"),
        pytest.param(503, False, id="a proxy answers for it"),
    ],
)
async def test_an_answer_that_tells_nothing_of_the_cluster_is_silence(status: int, *, heard: bool) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"kind": "Status", "message": "no"}, status=status)

    server = web.Application()
    server.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(server)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0]
    configuration = client.Configuration(host=f"http://{host}:{port}")
    api = Api(client.ApiClient(configuration), Telemetry(CollectorRegistry()))
    try:
        with pytest.raises(ApiError):
            await api.get(SERVICE, "a", "b")
        assert (api.silence is not None) is heard
    finally:
        await api.close()
        await runner.cleanup()
