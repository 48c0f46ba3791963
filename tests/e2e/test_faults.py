"""Whatever a user gets wrong is told where they look, and what served before still serves."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.demo.kubectl import KubectlError
from tests.demo.workspace import CLASSES
from tests.e2e.deployments import ModelDeployment, assert_answers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.stage import Stage

# The first test to run brings the cluster up, which may take minutes.
pytestmark = pytest.mark.timeout(1800)

MISSING_LAYER = "GatedAttention"
TOO_LITTLE_MEMORY = "32Mi"
"""Enough for Python, not enough for TensorFlow. (With twice as much it goes on, endlessly reading its code anew.)"""


@dataclass(frozen=True)
class Served:
    """A ModelDeployment that serves the good model, which every test changes and puts right again."""

    model: ModelDeployment
    revision: str

    def still_serves(self) -> None:
        """Assert that the revision from before the fault answers clients, and that the status says so."""
        assert_answers(self.model, self.revision)
        assert self.model.serving() == self.revision
        assert self.model.condition("Available")["status"] == "True"


@pytest.fixture(scope="module")
def shared(stage: Stage) -> Iterator[Served]:
    with stage.namespace() as namespace:
        model = ModelDeployment(stage, namespace)
        model.apply(model.document())
        yield Served(model, model.wait_ready())


@pytest.fixture
def served(shared: Served) -> Iterator[Served]:
    yield shared
    shared.model.apply(shared.model.document())
    assert shared.model.wait_ready() == shared.revision


@pytest.fixture
def no_model(stage: Stage, tmp_path: Path) -> str:
    """URI of a web page, as a server of files sends it to those who have to sign in first."""
    page = tmp_path / "model.keras"
    page.write_text("<!doctype html><title>Sign in</title>")
    return stage.store(page, "faults/page.keras")


@pytest.fixture
def unloadable(stage: Stage, tmp_path: Path) -> str:
    """URI of a model with a layer of its maker's own, whose code the server does not have."""
    changed = tmp_path / "model.keras"
    with zipfile.ZipFile(stage.models["good"].file) as good, zipfile.ZipFile(changed, "w") as new:
        for name in good.namelist():
            content = good.read(name)
            if name == "config.json":
                config = json.loads(content)
                layer = next(one for one in config["config"]["layers"] if one["class_name"] == "LSTM")
                layer.update(class_name=MISSING_LAYER, module="their.layers", registered_name=f"their>{MISSING_LAYER}")
                content = json.dumps(config).encode()
            new.writestr(name, content)
    return stage.store(changed, "faults/unloadable.keras")


def _stalls(served: Served, reason: str, *words: str, **spec: Any) -> None:
    """Apply fields that cannot work; assert that the reason and some words are told, and that nothing else changed."""
    served.model.apply(served.model.document(**spec))
    ready = served.model.wait_for_condition("Ready", "False", reason)
    assert [word for word in words if word not in ready["message"]] == [], ready["message"]
    stalled = served.model.condition("Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", reason)
    served.still_serves()
    warnings = served.model.kubectl("events", "--for", f"ModelDeployment/{served.model.name}", "--types=Warning")
    assert reason in warnings


def _source(uri: str, **more: Any) -> dict[str, Any]:
    return {"uri": uri, "labels": list(CLASSES), **more}


def test_wrong_digest(served: Served) -> None:
    wrong, right = f"sha256:{'0' * 64}", served.model.stage.models["good"].digest
    _stalls(served, "DigestMismatch", wrong, right, model=_source(served.model.stage.uris["good"], digest=wrong))


def test_unreachable_uri(served: Served) -> None:
    uri = "http://no-such-store.example/model.keras"
    _stalls(served, "FetchFailed", uri, model=_source(uri))


def test_missing_file(served: Served) -> None:
    uri = served.model.stage.uris["good"].replace("good", "never-uploaded")
    _stalls(served, "FetchFailed", uri, "404", model=_source(uri))


def test_file_that_is_no_model(served: Served, no_model: str) -> None:
    _stalls(served, "NotAModel", "web page", model=_source(no_model))


def test_model_that_cannot_be_loaded(served: Served, unloadable: str) -> None:
    _stalls(served, "LoadFailed", MISSING_LAYER, model=_source(unloadable))


def test_model_that_is_killed_while_it_loads(served: Served) -> None:
    serving = {
        "resources": {"limits": {"memory": TOO_LITTLE_MEMORY}},
        "fetchResources": {"limits": {"memory": "2Gi"}},  # The model is prepared, and then cannot be served.
    }
    _stalls(served, "CrashLoop", "spec.serving.resources.limits.memory", serving=serving)


def test_unknown_field(served: Served) -> None:
    document = served.model.document()
    document["spec"]["model"]["url"] = document["spec"]["model"]["uri"]
    with pytest.raises(KubectlError, match=r'unknown field "spec\.model\.url"'):
        served.model.apply(document)
    served.still_serves()


def test_minimum_above_one(served: Served) -> None:
    with pytest.raises(KubectlError, match=r"spec\.accuracy\.minimum.* less than 1"):
        served.model.apply(served.model.document(accuracy={"minimum": 1.5}))
    served.still_serves()


def test_label_with_a_forged_id(served: Served) -> None:
    client = served.model.client()
    real = client.predict().prediction_id
    forged = ("B" if real[0] == "A" else "A") + real[1:]
    cut_in = real[:20] + ("B" if real[20] == "A" else "A") + real[21:]
    assert client.label("guessed").status == 400
    assert client.label(forged).status == 400  # The first character is the version of the format.
    answer = client.label(cut_in)
    assert (answer.status, answer.body["results"][0]["reason"]) == (403, "forged")
    assert "unchanged" in answer.body["error"]
    assert client.label(real).status == 200
    served.still_serves()


def test_label_with_an_id_of_another_model(served: Served) -> None:
    other = ModelDeployment(served.model.stage, served.model.namespace, "other")
    other.apply(other.document(accuracy=None))
    other.wait_ready()
    foreign = other.client().predict().prediction_id
    answer = served.model.client().label(foreign)
    assert (answer.status, answer.body["results"][0]["reason"]) == (403, "forged")
    assert "to the model that gave it" in answer.body["error"]
    assert other.client().label(foreign).status == 200
    served.still_serves()


def test_label_that_is_sent_again(served: Served) -> None:
    client = served.model.client()
    prediction = client.predict()
    assert client.label(prediction.prediction_id).status == 200
    answer = client.label(prediction.prediction_id, CLASSES[1])
    assert (answer.status, answer.body["results"][0]["reason"]) == (409, "duplicate")
    assert "first" in answer.body["error"]
    served.still_serves()
