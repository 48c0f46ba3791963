"""The model server keeps what `contract` promises the operator. With a made-up model: this needs no TensorFlow."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, get_type_hints

import pytest
from model_server import contract
from model_server.admin import AdminApp
from model_server.app import PredictionApp
from model_server.contract import Counts, Rotation
from model_server.settings import Place
from model_server.state import Phase

from tests.serving.in_process import TOKEN, call, serving_parts

if TYPE_CHECKING:
    from pathlib import Path

    from model_server.parts import ServerParts

BEARER = {"Authorization": f"Bearer {TOKEN}"}
MODEL = contract.MODEL_PATH_TEMPLATE.format(model="m")


@pytest.fixture
async def parts(tmp_path: Path) -> ServerParts:
    return serving_parts(tmp_path)


async def predict(parts: ServerParts, size: int) -> str:
    path = MODEL + contract.PREDICT_SUFFIX
    status, headers, _ = await call(PredictionApp(parts), "POST", path, {"instances": [1] * size})
    assert status == 200
    assert headers[contract.REVISION_HEADER.lower()] == "r1"
    return headers[contract.PREDICTION_ID_HEADER.lower()]


async def feedback(parts: ServerParts, identity: str, label: object) -> int:
    body = {"id": identity, "label": label}
    return (await call(PredictionApp(parts), "POST", MODEL + contract.FEEDBACK_SUFFIX, body))[0]


async def test_counts_are_what_the_contract_says(parts: ServerParts) -> None:
    token = await predict(parts, 3)
    assert await feedback(parts, token, 1) == 200
    assert await feedback(parts, f"{token}.2", 0) == 200
    status, _, body = await call(AdminApp(parts, TOKEN.encode()), "GET", contract.COUNTS_PATH, headers=BEARER)
    counts = json.loads(body)
    assert status == 200
    assert counts.keys() == get_type_hints(Counts).keys()
    assert counts.pop("started")
    assert counts == {
        "revision": "r1",
        "pod_uid": "uid",
        "correct": 1,
        "wrong": 1,
        "true_positive": 1,
        "false_positive": 1,
        "true_negative": 0,
        "false_negative": 0,
        "predictions": 3,
        "rotation": {"forward_to": None, "share": 1.0, "copy": False},
        "classes": [
            {"name": "0", "true_positive": 0, "false_positive": 0, "false_negative": 1},
            {"name": "1", "true_positive": 1, "false_positive": 1, "false_negative": 0},
        ],
        "slices": [],
        "pairs": [],
    }


async def test_the_rotation_is_set_and_told(parts: ServerParts) -> None:
    admin = AdminApp(parts, TOKEN.encode())
    left = Rotation(forward_to="10.0.0.2:8501", share=1.0, copy=False)
    for wanted in (
        left,
        left,  # It is idempotent.
        Rotation(forward_to="10.0.0.2:8501", share=0.05, copy=False),
        Rotation(forward_to="10.0.0.2:8501", share=1.0, copy=True),
        Rotation(forward_to=None, share=1.0, copy=False),
    ):
        assert wanted.keys() == get_type_hints(Rotation).keys()
        status, _, body = await call(admin, "PUT", contract.ROTATION_PATH, wanted, BEARER)
        assert (status, json.loads(body)) == (200, wanted)
        _, _, counts = await call(admin, "GET", contract.COUNTS_PATH, headers=BEARER)
        assert json.loads(counts)["rotation"] == wanted


@pytest.mark.parametrize("target", ["10.0.0.2:8501", None])
async def test_who_leaves_out_share_and_copy_means_all_requests(parts: ServerParts, target: str | None) -> None:
    status, _, body = await call(
        AdminApp(parts, TOKEN.encode()), "PUT", contract.ROTATION_PATH, {"forward_to": target}, BEARER
    )
    assert (status, json.loads(body)) == (200, {"forward_to": target, "share": 1.0, "copy": False})


async def test_probes(parts: ServerParts) -> None:
    admin = AdminApp(parts, TOKEN.encode())
    codes = {}
    for phase in Phase:
        parts.state.phase = phase
        codes[phase] = [(await call(admin, "GET", path))[0] for path in (contract.LIVE_PATH, contract.READY_PATH)]
    assert codes == {Phase.LOADING: [200, 503], Phase.SERVING: [200, 200], Phase.DRAINING: [200, 503]}


def test_ports_and_folders_are_the_defaults() -> None:
    place = Place()
    assert (place.http_port, place.admin_port) == (contract.HTTP_PORT, contract.ADMIN_PORT)
    assert str(place.model_dir) == contract.MODEL_DIR
    assert str(place.keys_dir) == contract.KEYS_DIR
    assert str(place.state_dir) == contract.STATE_DIR
    assert str(place.source_dir) == contract.PVC_DIR
    assert str(place.termination_log) == contract.TERMINATION_LOG
