"""The story, step by step: a model is served, a worse one takes its place, and is taken back."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import yaml

from tests.cluster import build, images
from tests.cluster.monitoring import SELECTED
from tests.demo import operator_install, store, target, traffic_pod
from tests.demo.kubectl import RESOURCE, condition
from tests.demo.models import EVALUATION, SETTINGS, Trainings, command, place
from tests.demo.progress import Progress
from tests.demo.prometheus import look
from tests.demo.timeline import Facts, rejection_of, verdict
from tests.demo.traffic_pod import TrafficPod
from tests.demo.watch import Watch
from tests.demo.workspace import (
    CLASSES,
    MARK,
    MINIMUM,
    NAME,
    NAMESPACE,
    OPERATOR_NAMESPACE,
    SAMPLE_INTERVAL,
    SCRAPE_INTERVAL,
    folder,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.demo.console import Console
    from tests.demo.kubectl import Kubectl, Manifest
    from tests.demo.models import Model
    from tests.demo.records import Record
    from tests.demo.target import Target
    from tests.demo.timeline import Seen

ENOUGH_LABELS = 300
START_SECONDS = 300
VERDICT_SECONDS = 120
PROMETHEUS_SECONDS = 6.0
"""In which the labels are read from Prometheus a few times."""
AFTERMATH_SECONDS = 8.0
"""How long the clients are watched after the rollback."""


@dataclass
class Stage:
    """What the steps hand on to each other."""

    console: Console
    target: Target
    models: dict[str, Model]
    uris: dict[str, str] = field(default_factory=dict)

    @property
    def kubectl(self) -> Kubectl:
        """The cluster's kubectl."""
        return self.target.kubectl

    def typed(self, *words: str) -> str:
        """Run a command and show it with its output."""
        self.console.command(*self.kubectl.shown, *words)
        output = self.kubectl.run(*words)
        self.console.show(output)
        return output


def tell(console: Console, environment: Mapping[str, str]) -> Facts:
    """Run the demo; return what happened. Raises DemoError and ClusterError."""
    began, warm = time.time(), is_warm(environment)
    with ExitStack() as leaving:
        stage = prepare(console, environment, leaving)
        install(stage)
        fill_store(stage)
        watch = leaving.enter_context(Watch(stage.kubectl, NAMESPACE, NAME, console.say))
        applied = time.time()
        good = deploy(stage, watch)
        ready = time.time()
        traffic = start_traffic(stage, leaving)
        become_healthy(stage, watch, traffic)
        bad_applied = time.time()
        user = apply_worse(stage, watch)
        bad = degrade(stage, watch, traffic, good)
        records = settle(stage, traffic)
        after = look_back(stage)
        seen = None
        if stage.target.monitoring:
            judge_from_prometheus(stage, watch)
            seen = look_at_prometheus(stage, records, applied)
    return Facts(
        began=began,
        applied=applied,
        ready=ready,
        good=good,
        bad_applied=bad_applied,
        bad=bad,
        user_generation=user["metadata"]["generation"],
        user_spec=user["spec"],
        after=after,
        records=records,
        ended=time.time(),
        warm=warm,
        seen=seen,
    )


def is_warm(environment: Mapping[str, str]) -> bool:
    """Whether everything that takes minutes is in the cache, or is the user's."""
    built = bool(environment.get(target.CONTEXT)) or (
        (build.output() / build.CLUSTER).exists() and images.layout().directory.exists()
    )
    return built and all((place(name) / EVALUATION).exists() for name in SETTINGS)


def prepare(console: Console, environment: Mapping[str, str], leaving: ExitStack) -> Stage:
    """Get a cluster, the images and the models; the models are trained while the cluster is made."""
    trainings = leaving.enter_context(Trainings())
    training = [name for name in SETTINGS if trainings.is_training(name)]
    console.step("A Kubernetes, both images, and two models")
    for name in training:
        console.say(f"Training the {name} model in the background:")
        console.command(*command(name, place(name)))
    found = target.find(environment, console)
    if found.local:
        console.say("The cluster is yours to look at from another terminal, at the repository's root:")
        console.plain([f"             $ {target.ENVIRONMENT}"])
        console.plain([f"             $ kubectl get {RESOURCE.partition('.')[0]} --all-namespaces --watch"])
    models = {}
    for name in SETTINGS:
        models[name] = trainings.take(name)
        low, high = models[name].interval
        cached = "" if name in training else "  (trained by an earlier demo)"
        accuracy = f"accuracy {models[name].accuracy:.3f} [{low:.3f}, {high:.3f}] on texts held out"
        console.say(f"The {name} model: {accuracy}{cached}")
    return Stage(console, found, models)


def install(stage: Stage) -> None:
    """Install CRD and operator, as a user would."""
    stage.console.step("The operator, with kubectl apply -k")
    operator_install.remove_namespace(stage.kubectl, stage.console)
    operator_install.install(stage.target, stage.console)
    stage.typed("get", "pods", "--namespace", OPERATOR_NAMESPACE)


def fill_store(stage: Stage) -> None:
    """Put both models where the pods can fetch them."""
    stage.console.step("A model store inside the cluster")
    level = {"pod-security.kubernetes.io/enforce": "restricted"}
    labels = {"labels": {**MARK, **level}}
    stage.kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, **labels}})
    stage.kubectl.apply(*store.manifests(stage.target.serving_image))
    stage.kubectl.wait("condition=Ready", f"pod/{store.STORE}", NAMESPACE, seconds=START_SECONDS)
    for number, name in enumerate(SETTINGS, 1):
        stage.uris[name] = store.put(stage.kubectl, stage.models[name].file, f"news/{number}/model.keras")
        stage.console.say(f"The {name} model lies at {stage.uris[name]}")


def deploy(stage: Stage, watch: Watch) -> str:
    """Apply the good model and wait until it is Ready; return its revision."""
    stage.console.step("A ModelDeployment with the good model")
    apply(stage, "good")
    wait = ("wait", "--for=condition=Ready", f"mdep/{NAME}", "--namespace", NAMESPACE, f"--timeout={START_SECONDS}s")
    stage.console.command(*stage.kubectl.shown, *wait)
    stage.kubectl.run(*wait, seconds=START_SECONDS + 10)
    stage.typed("get", "mdep,deployments,services", "--namespace", NAMESPACE)
    document = watch.until("Ready", lambda seen: condition(seen, "Ready").get("status") == "True", seconds=10)
    return str(document["status"]["servingRevision"])


def start_traffic(stage: Stage, leaving: ExitStack) -> TrafficPod:
    """Start clients of both kinds in a pod, and read what they see."""
    stage.console.step("Steady traffic, and labels that come back a moment later")
    stage.console.say(
        "Half of the clients open a connection for each request, half keep theirs. Each sends real texts that no",
        "model was trained on, one after the other, and their true labels 0.3 to 1 s after the answers.",
    )
    stage.kubectl.apply(*traffic_pod.manifests(stage.target.serving_image, stage.models["good"].holdout))
    stage.kubectl.wait("condition=Ready", f"pod/{traffic_pod.POD}", NAMESPACE, seconds=START_SECONDS)
    stage.console.command(*stage.kubectl.shown, "logs", "--follow", traffic_pod.POD, "--namespace", NAMESPACE)
    return leaving.enter_context(TrafficPod(stage.kubectl))


def become_healthy(stage: Stage, watch: Watch, traffic: TrafficPod) -> None:
    """Wait until the labels speak for the good model."""
    stage.console.step("The labels are judged")
    progress = Progress(stage.console, stage.kubectl, traffic)

    watch.until(
        "A verdict of Healthy",
        lambda seen: condition(seen, "AccuracyHealthy").get("reason") == "Healthy",
        seconds=VERDICT_SECONDS,
        meanwhile=progress.tell,
    )
    stage.typed("get", "mdep", NAME, "--namespace", NAMESPACE)
    stage.console.say(
        "The status is written when the verdict changes, or labels have grown by a fifth. Some hundred labels more:"
    )
    while progress.labels() < ENOUGH_LABELS:
        progress.tell()
        time.sleep(0.5)


def apply_worse(stage: Stage, watch: Watch) -> Manifest:
    """Apply the spoilt model as a new version; return the object as the user left it."""
    stage.console.step("A worse model, applied as a new version")
    apply(stage, "spoilt")
    document = stage.kubectl.get(RESOURCE, NAME, NAMESPACE)
    assert document is not None  # It was applied just now.
    watch.until("The start of the new version", lambda seen: "candidateRevision" in seen["status"], seconds=30)
    stage.typed("get", "mdep", NAME, "--namespace", NAMESPACE, "-o", "wide")
    stage.typed("get", "mdep", NAME, "--namespace", NAMESPACE, "-o", "jsonpath={.status.accuracy}")
    generation = document["metadata"]["generation"]
    stage.console.say(f"Generation {generation} of the spec is the user's: a rollback must leave it alone.")
    return document


def degrade(stage: Stage, watch: Watch, traffic: TrafficPod, good: str) -> str:
    """Wait for the worse revision to take the traffic and to lose it; return its name."""
    serves = watch.until(
        "The promotion of the worse model",
        lambda seen: seen["status"].get("servingRevision") != good,
        seconds=START_SECONDS,
        meanwhile=traffic.check,
    )
    bad = str(serves["status"]["servingRevision"])
    stage.console.step("Its labels come in; the evidence grows; the verdict; the traffic goes back")
    progress = Progress(stage.console, stage.kubectl, traffic, bad)
    seen = watch.until(
        "The rollback",
        lambda seen: rejection_of(seen, bad) is not None and seen["status"].get("servingRevision") == good,
        seconds=VERDICT_SECONDS,
        meanwhile=progress.tell,
    )
    stage.console.say(f"The verdict: {verdict(rejection_of(seen, bad) or {})}")
    return bad


def settle(stage: Stage, traffic: TrafficPod) -> list[Record]:
    """Watch the clients for a while longer, then end the traffic; return what they saw."""
    stage.console.step("Every client is back with the good model")
    stage.console.say(f"The clients go on for {AFTERMATH_SECONDS:.0f} s: does anyone still hear from the bad revision?")
    time.sleep(AFTERMATH_SECONDS)
    return traffic.end()


def judge_from_prometheus(stage: Stage, watch: Watch) -> None:
    """Have the labels read from Prometheus instead of the pods: they are the same, and none counts twice."""
    stage.console.step("The same labels, read from Prometheus")
    patch = '{"spec": {"accuracy": {"source": "Prometheus"}}}'
    stage.typed("patch", "mdep", NAME, "--namespace", NAMESPACE, "--type=merge", "--patch", patch)
    generation = stage.kubectl.json("get", RESOURCE, NAME, "--namespace", NAMESPACE)["metadata"]["generation"]
    watch.until(
        "The operator's look at the new spec",
        lambda seen: seen["status"].get("observedGeneration") == generation,
        seconds=START_SECONDS,
    )
    time.sleep(PROMETHEUS_SECONDS)
    stage.typed("get", "mdep", NAME, "--namespace", NAMESPACE)


def look_at_prometheus(stage: Stage, records: list[Record], began: float) -> Seen:
    """See the same in Prometheus, which the operator does not need for any of it."""
    stage.console.step("What Prometheus saw of it")
    assert stage.target.monitoring is not None
    return look(stage.target.monitoring, records, began, stage.console)


def look_back(stage: Stage) -> Manifest:
    """Show what a user finds after the rollback; return the object with its managed fields."""
    stage.typed("get", "mdep", NAME, "--namespace", NAMESPACE, "-o", "wide")
    stage.typed("events", "--for", f"ModelDeployment/{NAME}", "--namespace", NAMESPACE)
    document: Manifest = stage.kubectl.json("get", RESOURCE, NAME, "--namespace", NAMESPACE, "--show-managed-fields")
    return document


def apply(stage: Stage, name: str) -> None:
    """Write the ModelDeployment with a model to a file, and apply it as a user does."""
    path = folder() / f"{NAME}-{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(model_deployment(stage.uris[name], stage.models[name].digest), sort_keys=False)
    path.write_text(text)
    stage.console.command("cat", str(path))
    stage.console.show(text)
    stage.typed("apply", "-f", str(path))


def model_deployment(uri: str, digest: str) -> Manifest:
    """Return the ModelDeployment of the demo."""
    return {
        "apiVersion": "modelops.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {
            "model": {"uri": uri, "digest": digest, "labels": list(CLASSES)},
            "replicas": 2,
            "accuracy": {"metric": "accuracy", "minimum": MINIMUM, "sampleInterval": SAMPLE_INTERVAL},
            "monitoring": {
                "serviceMonitor": {"labels": SELECTED, "interval": SCRAPE_INTERVAL},
                "prometheusRule": {"labels": SELECTED, "window": "30s", "for": "5s"},
            },
        },
    }
