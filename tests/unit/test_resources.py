"""The objects that the operator makes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from model_server import contract
from modeldeployment_operator.api.group import NAME_MAX_LENGTH
from modeldeployment_operator.api.spec import ModelDeploymentSpec
from modeldeployment_operator.api.status import Rejection
from modeldeployment_operator.core import kinds, names
from modeldeployment_operator.core.children import parse_child
from modeldeployment_operator.core.decision import Decision, decide
from modeldeployment_operator.core.observation import Asked, Key, Observation, StoredRevision, Workload
from modeldeployment_operator.core.resources import desired, records
from modeldeployment_operator.core.resources.secret import Keys
from modeldeployment_operator.core.revisions import snapshot_of

from tests.support.observations import a_rejection, an_observation, degraded

KEYS = Keys("f" * 64, "a" * 64)
SERVERS_METADATA = {"uid": "uid-2", "resourceVersion": "7"}
"""What the API server adds."""
SPEC = {"model": {"uri": "s3://models/news/3"}, "replicas": 2}


def observed(spec: dict[str, Any] | None = None, *, name: str = "news") -> Observation:
    """A first revision of a real spec, with its real name."""
    parsed = ModelDeploymentSpec.parse(SPEC | (spec or {}))
    builder = an_observation().having(key=Key("team", name), spec=parsed, knows=frozenset(kinds.OPTIONAL))
    return builder.having(desired=snapshot_of(name, parsed, "server:1")).obj()


def made(observation: Observation, decision: Decision | None = None) -> dict[str, dict[str, Any]]:
    decision = decision or Decision(observation.desired.name)
    return {f"{one['kind']}/{one['metadata']['name']}": one for one in desired(observation, decision, KEYS)}


def pod_of(observation: Observation) -> dict[str, Any]:
    pod: dict[str, Any] = made(observation)[f"Deployment/{observation.desired.name}"]["spec"]["template"]["spec"]
    return pod


def mounts_of(pod: dict[str, Any], container: str) -> list[dict[str, Any]]:
    mounts: list[dict[str, Any]] = pod[container][0]["volumeMounts"]
    return mounts


def env_of(observation: Observation, container: str = "containers") -> dict[str, Any]:
    variables = pod_of(observation)[container][0]["env"]
    assert len({variable["name"] for variable in variables}) == len(variables)
    return {variable["name"]: variable.get("value", variable.get("valueFrom")) for variable in variables}


def test_all_that_is_made_in_the_order_of_writing() -> None:
    observation = observed()
    revision = observation.desired.name

    assert list(made(observation)) == [
        "Secret/news-modelops-keys",
        f"Service/{revision}",
        f"Deployment/{revision}",
        "Service/news",
        "PodDisruptionBudget/news",
        "ServiceMonitor/news",
        "PrometheusRule/news",
    ]


def test_before_anything_serves_there_is_no_service_for_clients() -> None:
    observation = observed()
    made_of = [name.partition("/")[0] for name in made(observation, Decision(None, candidate=observation.desired.name))]

    assert made_of == ["Secret", "Service", "Deployment", "ServiceMonitor", "PrometheusRule"]


def test_one_pod_has_no_budget() -> None:
    assert "PodDisruptionBudget/news" not in made(observed({"replicas": 1}))


def test_every_object_is_labelled_and_owned() -> None:
    for one in made(observed()).values():
        metadata = one["metadata"]
        assert metadata["namespace"] == "team"
        assert metadata["labels"].items() >= names.common_labels("news").items()
        assert metadata["ownerReferences"] == [
            {
                "apiVersion": "modelops.dev/v1alpha1",
                "kind": "ModelDeployment",
                "name": "news",
                "uid": "uid-1",
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ]


def test_names_and_labels_fit_even_for_the_longest_name() -> None:
    for one in made(observed(name="n" * NAME_MAX_LENGTH)).values():
        longest = 253 if one["kind"] == "Secret" else 63
        assert len(one["metadata"]["name"]) <= longest
        assert all(len(value) <= 63 for value in one["metadata"]["labels"].values())


def test_a_deployment() -> None:
    observation = observed()
    revision = observation.desired.name
    deployment = made(observation)[f"Deployment/{revision}"]
    selector = {"modelops.dev/name": "news", "modelops.dev/revision": revision}

    assert deployment["spec"]["replicas"] == 2
    assert deployment["spec"]["selector"] == {"matchLabels": selector}
    assert deployment["spec"]["template"]["metadata"]["labels"].items() >= selector.items()
    assert deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


def test_the_pods_are_safe() -> None:
    """What the restricted Pod Security Standard asks for, and no identity in the cluster."""
    pod = pod_of(observed())

    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    for container in (*pod["initContainers"], *pod["containers"]):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
    mounts = {mount["name"]: mount for mount in pod["containers"][0]["volumeMounts"]}
    assert mounts["model"] == {"name": "model", "mountPath": "/models", "readOnly": True}
    assert mounts["keys"]["readOnly"]
    assert "keys" not in {mount["name"] for mount in pod["initContainers"][0]["volumeMounts"]}
    assert {volume["name"] for volume in pod["volumes"]} == {"model", "state", "tmp", "keys"}


def test_probes_ask_the_admin_port() -> None:
    server = pod_of(observed())["containers"][0]
    ports = {port["name"]: port["containerPort"] for port in server["ports"]}

    assert ports == {"http": contract.HTTP_PORT, "grpc": contract.GRPC_PORT, "admin": contract.ADMIN_PORT}
    paths = {probe: server[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert paths == {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}
    assert all(server[probe]["httpGet"]["port"] == "admin" for probe in paths)


def test_the_environment() -> None:
    digest = "sha256:" + "0" * 64
    model = {"uri": "s3://models/3", "digest": digest, "format": "keras", "labels": ["$(HOME)", "体育"]}
    user = [{"name": "AWS_REGION", "value": "eu"}, {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s3"}}}]
    observation = observed({"model": model, "serving": {"env": user}})
    revision = observation.desired.name

    assert env_of(observation) == {
        "AWS_REGION": "eu",
        "KEY": {"secretKeyRef": {"name": "s3"}},
        "MODEL_NAME": "news",
        "MODEL_URI": "s3://models/3",
        "MODEL_DIGEST": digest,
        "MODEL_FORMAT": "keras",
        "MODEL_LABELS": '["$$(HOME)", "体育"]',
        "MODEL_REVISION": revision,
        "MODEL_PEERS_HOST": f"{revision}.team.svc",
        "POD_NAME": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}},
        "POD_UID": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.uid"}},
        "POD_IP": {"fieldRef": {"apiVersion": "v1", "fieldPath": "status.podIP"}},
    }
    assert env_of(observation).keys() - {"AWS_REGION", "KEY"} <= {one.value for one in contract.Env}
    assert env_of(observation, "initContainers") == env_of(observation)


def test_specs_and_records_that_are_older_than_the_models_environment_are_still_fetched() -> None:
    """Their pods start anew with each new operator, and would have lost their credentials."""
    secret = {"name": "AWS_SECRET_ACCESS_KEY", "valueFrom": {"secretKeyRef": {"name": "s3", "key": "secret"}}}
    observation = observed({"serving": {"env": [secret]}})

    assert env_of(observation, "initContainers")["AWS_SECRET_ACCESS_KEY"] == secret["valueFrom"]
    empty = observed({"model": {"uri": "s3://models/3", "env": []}, "serving": {"env": [secret]}})
    assert "AWS_SECRET_ACCESS_KEY" not in env_of(empty, "initContainers")


def test_credentials_reach_the_container_that_fetches_and_no_other() -> None:
    secret = {"name": "AWS_SECRET_ACCESS_KEY", "valueFrom": {"secretKeyRef": {"name": "s3", "key": "secret"}}}
    observation = observed({"model": {"uri": "s3://models/3", "env": [secret]}, "serving": {"env": [{"name": "A"}]}})

    assert env_of(observation, "initContainers").keys() - env_of(observation).keys() == {"AWS_SECRET_ACCESS_KEY"}
    assert env_of(observation).keys() - env_of(observation, "initContainers").keys() == {"A"}


def test_what_is_secret_in_a_uri_reaches_the_container_that_fetches_and_no_other() -> None:
    uri = "https://user:password@host/news/3?X-Amz-Signature=secret"
    observation = observed({"model": {"uri": uri}})

    assert env_of(observation, "initContainers")["MODEL_URI"] == uri
    assert env_of(observation)["MODEL_URI"] == "https://host/news/3"


def test_settings_of_the_server_hold_where_the_model_is_prepared_too() -> None:
    observation = observed({"serving": {"env": [{"name": "MODEL_EXTRA_OPS", "value": "ReadFile"}]}})

    assert env_of(observation, "initContainers")["MODEL_EXTRA_OPS"] == "ReadFile"
    assert env_of(observation)["MODEL_EXTRA_OPS"] == "ReadFile"


def test_what_is_not_given_is_not_in_the_environment() -> None:
    assert not env_of(observed()).keys() & {"MODEL_DIGEST", "MODEL_FORMAT", "MODEL_LABELS"}


def test_users_variables_stand_beside_the_operators_own() -> None:
    environment = env_of(observed({"serving": {"env": [{"name": "MODEL_DRAIN_SECONDS", "value": "9"}]}}))

    assert environment["MODEL_URI"] == "s3://models/news/3"
    assert environment["MODEL_DRAIN_SECONDS"] == "9"


def test_nothing_is_put_for_what_looks_like_a_variable() -> None:
    environment = env_of(observed({"model": {"uri": "s3://models/$(POD_NAME)"}}))

    assert environment["MODEL_URI"] == "s3://models/$$(POD_NAME)"


def test_a_deployment_holds_a_copy_of_its_revisions_record() -> None:
    observation = observed()
    deployment = made(observation)[f"Deployment/{observation.desired.name}"]
    seen = parse_child(kinds.DEPLOYMENT, deployment | {"metadata": deployment["metadata"] | SERVERS_METADATA})

    assert seen is not None
    assert isinstance(seen.detail, Workload)
    assert seen.detail.record == StoredRevision(1, observation.desired.template)


def test_a_claim_is_mounted_read_only_where_the_model_is_fetched() -> None:
    pod = pod_of(observed({"model": {"uri": "pvc://claim-1/a/b"}}))
    mount = {"name": "source", "mountPath": contract.PVC_DIR, "readOnly": True}

    assert mount in pod["initContainers"][0]["volumeMounts"]
    assert mount not in pod["containers"][0]["volumeMounts"]
    source = {"name": "source", "persistentVolumeClaim": {"claimName": "claim-1", "readOnly": True}}
    assert source in pod["volumes"]


def test_a_configmap_is_mounted_as_a_claim_is() -> None:
    pod = pod_of(observed({"model": {"uri": "configmap://iris/iris.keras"}}))

    assert {"name": "source", "mountPath": contract.PVC_DIR, "readOnly": True} in mounts_of(pod, "initContainers")
    assert {"name": "source", "configMap": {"name": "iris"}} in pod["volumes"]


def test_the_secret_of_a_registry_is_seen_by_the_container_that_fetches_alone() -> None:
    model = {"uri": "oci://registry/news:3", "registrySecret": {"name": "registry"}}
    pod = pod_of(observed({"model": model}))
    mount = {"name": "registry", "mountPath": contract.REGISTRY_AUTH_DIR, "readOnly": True}

    assert mount in mounts_of(pod, "initContainers")
    assert mount not in mounts_of(pod, "containers")
    assert {"name": "registry", "secret": {"secretName": "registry"}} in pod["volumes"]


def test_a_cache_is_written_by_the_container_that_fetches_alone() -> None:
    observation = observed({"serving": {"fetchCache": {"claimName": "models"}}})
    pod = pod_of(observation)

    assert {"name": "cache", "mountPath": contract.CACHE_DIR} in mounts_of(pod, "initContainers")
    assert "cache" not in {mount["name"] for mount in mounts_of(pod, "containers")}
    assert {"name": "cache", "persistentVolumeClaim": {"claimName": "models"}} in pod["volumes"]
    assert env_of(observation, "initContainers")["MODEL_CACHE_DIR"] == contract.CACHE_DIR
    assert "MODEL_CACHE_DIR" not in env_of(observation)
    assert pod["securityContext"]["fsGroup"] == 10001


def test_batching_is_told_by_tensorflow_servings_names() -> None:
    batching = {"maxBatchSize": 8, "allowedBatchSizes": [1, 8], "padVariableLengthInputs": False}
    observation = observed({"serving": {"batching": batching}})

    told = json.loads(env_of(observation)["MODEL_BATCHING"])
    assert told == {"max_batch_size": 8, "allowed_batch_sizes": [1, 8], "pad_variable_length_inputs": False}
    assert "MODEL_BATCHING" not in env_of(observation, "initContainers")
    assert "MODEL_BATCHING" not in env_of(observed())


def test_where_and_how_the_pods_run_is_passed_on() -> None:
    scheduling: dict[str, Any] = {
        "nodeSelector": {"gpu": "yes"},
        "tolerations": [{"key": "gpu"}],
        "affinity": {"nodeAffinity": {"x": 1}},
        "priorityClassName": "high",
        "imagePullSecrets": [{"name": "pull"}],
        "serviceAccountName": "models",
    }
    resources = {"limits": {"memory": "2Gi", "cpu": 2}, "requests": {"cpu": "0.5"}}
    written = {"limits": {"memory": "2Gi", "cpu": "2"}, "requests": {"cpu": "500m"}}  # As the API server has it.
    pod = pod_of(observed({"serving": scheduling | {"resources": resources, "image": "mine:2"}}))

    affinity = pod.pop("affinity")
    assert affinity["nodeAffinity"] == scheduling.pop("affinity")["nodeAffinity"]
    assert {name: pod[name] for name in scheduling} == scheduling
    assert [one["resources"] for one in (*pod["initContainers"], *pod["containers"])] == [written] * 2
    assert [one["image"] for one in (*pod["initContainers"], *pod["containers"])] == ["mine:2"] * 2


def test_a_service_account_that_is_no_longer_named_is_the_usual_one() -> None:
    assert pod_of(observed())["serviceAccountName"] == "default"


def test_pods_of_a_revision_prefer_different_nodes_and_zones() -> None:
    observation = observed()
    pod = pod_of(observation)
    selector = {"matchLabels": names.pod_selector("news", observation.desired.name)}

    assert pod["topologySpreadConstraints"] == [
        {
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": selector,
        }
    ]
    zones = {"topologyKey": "topology.kubernetes.io/zone", "labelSelector": selector}
    assert pod["affinity"] == {
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "podAffinityTerm": zones}]
        }
    }


@pytest.mark.parametrize(
    ("serving", "affinity"),
    [
        ({"topologySpreadConstraints": []}, None),
        ({"topologySpreadConstraints": [{"maxSkew": 2}]}, None),
        ({"topologySpreadConstraints": [], "affinity": {"nodeAffinity": {}}}, {"nodeAffinity": {}}),
    ],
)
def test_a_users_own_spreading_takes_the_place_of_ours(serving: dict[str, Any], affinity: Any) -> None:
    pod = pod_of(observed({"serving": serving}))

    assert pod["topologySpreadConstraints"] == serving["topologySpreadConstraints"]
    assert pod.get("affinity") == affinity


def test_a_users_own_affinity_of_pods_takes_the_place_of_ours() -> None:
    assert pod_of(observed({"serving": {"affinity": {"podAntiAffinity": {}}}}))["affinity"] == {"podAntiAffinity": {}}


def test_where_pods_run_makes_no_other_revision() -> None:
    serving = {
        "topologySpreadConstraints": [],
        "affinity": {},
        "networkPolicy": {},
        "resources": {"limits": {"cpu": 1}},
    }
    scaled = observed({"serving": serving, "replicas": None, "autoscaling": {"maxReplicas": 3}})

    assert scaled.desired.name == observed().desired.name


def test_tls_and_tokens_are_for_clients_and_the_admin_port_stays_plain() -> None:
    serving = {"tls": {"secretName": "news-tls"}, "tokens": {"name": "clients", "key": "tokens"}}
    observation = observed({"serving": serving})
    pod, own = pod_of(observation), made(observation)[f"Service/{observation.desired.name}"]["spec"]

    assert env_of(observation)["MODEL_TLS_DIR"] == "/etc/model-server/tls"
    assert env_of(observation)["MODEL_TOKENS_FILE"] == "/etc/model-server/tokens/tokens"
    assert not env_of(observation, "initContainers").keys() & {"MODEL_TLS_DIR", "MODEL_TOKENS_FILE"}
    for name, path in (("tls", "/etc/model-server/tls"), ("tokens", "/etc/model-server/tokens")):
        assert {"name": name, "mountPath": path, "readOnly": True} in mounts_of(pod, "containers")
        assert name not in {mount["name"] for mount in mounts_of(pod, "initContainers")}
    assert {"name": "tls", "secret": {"secretName": "news-tls"}} in pod["volumes"]
    tokens = {"secretName": "clients", "items": [{"key": "tokens", "path": "tokens"}]}
    assert {"name": "tokens", "secret": tokens} in pod["volumes"]
    protocols = {port["name"]: port.get("appProtocol") for port in own["ports"]}
    assert protocols == {"http": "https", "grpc": "https", "admin": None}
    assert "scheme" not in pod["containers"][0]["readinessProbe"]["httpGet"]


def test_labels_may_come_to_a_port_of_their_own() -> None:
    observation = observed({"serving": {"feedbackPort": 8503}})
    services = made(observation)

    assert env_of(observation)["MODEL_FEEDBACK_PORT"] == "8503"
    assert 8503 in {port["containerPort"] for port in pod_of(observation)["containers"][0]["ports"]}
    for name in ("Service/news", f"Service/{observation.desired.name}"):
        assert {port["name"]: port["port"] for port in services[name]["spec"]["ports"]}["feedback"] == 8503


def test_the_store_of_labels_comes_from_a_secret_to_the_server_alone() -> None:
    observation = observed({"feedback": {"store": {"name": "valkey", "key": "url"}, "topK": 3}})

    assert env_of(observation)["MODEL_LABEL_STORE"] == {"secretKeyRef": {"name": "valkey", "key": "url"}}
    assert env_of(observation)["MODEL_TOP_K"] == "3"
    assert not env_of(observation, "initContainers").keys() & {"MODEL_LABEL_STORE", "MODEL_TOP_K"}


def test_fetching_may_have_resources_of_its_own() -> None:
    resources, fetching = {"limits": {"memory": "512Mi"}}, {"limits": {"memory": "2Gi"}}
    pod = pod_of(observed({"serving": {"resources": resources, "fetchResources": fetching}}))

    assert (pod["initContainers"][0]["resources"], pod["containers"][0]["resources"]) == (fetching, resources)


def test_services() -> None:
    observation = observed()
    revision = observation.desired.name
    objects = made(observation)
    selector = {"modelops.dev/name": "news", "modelops.dev/revision": revision}
    serving, own = objects["Service/news"]["spec"], objects[f"Service/{revision}"]["spec"]

    assert serving["selector"] == own["selector"] == selector
    assert [port["port"] for port in serving["ports"]] == [8501, 8500], "the admin port is not for clients"
    assert own["clusterIP"] == "None"
    assert [port["port"] for port in own["ports"]] == [8501, 8500, 8502]
    protocols = {port["name"]: port.get("appProtocol") for port in own["ports"]}
    assert protocols == {"http": "http", "grpc": "kubernetes.io/h2c", "admin": None}


def test_the_budget_is_of_the_revision_that_serves() -> None:
    observation = observed()
    serving = observation.desired.name
    spec = made(observation, Decision(serving))["PodDisruptionBudget/news"]["spec"]

    assert spec == {
        "maxUnavailable": 1,
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
        "selector": {"matchLabels": names.pod_selector("news", serving)},
    }


def test_the_secret_holds_both_keys() -> None:
    data = made(observed())["Secret/news-modelops-keys"]["stringData"]

    assert data == {contract.FEEDBACK_KEY_FILE: KEYS.feedback, contract.ADMIN_TOKEN_FILE: KEYS.admin}


# Monitoring


def test_the_service_monitor_finds_the_headless_services() -> None:
    monitoring = {"serviceMonitor": {"labels": {"release": "prometheus"}, "interval": "5s", "scrapeTimeout": "4s"}}
    objects = made(observed({"monitoring": monitoring}))
    monitor = objects["ServiceMonitor/news"]
    matching = [
        name
        for name, one in objects.items()
        if one["kind"] == "Service"
        and monitor["spec"]["selector"]["matchLabels"].items() <= one["metadata"]["labels"].items()
    ]

    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert matching == [f"Service/{observed().desired.name}"]
    endpoint = monitor["spec"]["endpoints"][0]
    assert (endpoint["port"], endpoint["path"]) == ("admin", "/metrics")
    assert (endpoint["interval"], endpoint["scrapeTimeout"]) == ("5s", "4s")


def endpoint_of(**settings: Any) -> dict[str, Any]:
    monitor = made(observed({"monitoring": {"serviceMonitor": settings}}))["ServiceMonitor/news"]
    (endpoint,) = monitor["spec"]["endpoints"]
    return dict(endpoint)


def test_model_and_revision_are_labels_of_the_target_whatever_the_pods_say() -> None:
    endpoint = endpoint_of()
    made_from = {rule["targetLabel"]: rule["sourceLabels"] for rule in endpoint["relabelings"] if "targetLabel" in rule}

    assert endpoint["honorLabels"] is False
    assert made_from == {
        "model": ["__meta_kubernetes_pod_label_modelops_dev_name"],
        "revision": ["__meta_kubernetes_pod_label_modelops_dev_revision"],
    }


def test_relabelings_of_the_user_come_after_the_operators_own_and_as_they_are() -> None:
    users = [{"action": "labeldrop", "regex": "endpoint"}, {"targetLabel": "team", "replacement": "search"}]
    dropped = [{"action": "drop", "sourceLabels": ["__name__"], "regex": "python_gc_.*"}]
    endpoint = endpoint_of(relabelings=users, metricRelabelings=dropped)

    assert endpoint["relabelings"] == endpoint_of()["relabelings"] + users
    assert endpoint["metricRelabelings"] == dropped


def test_what_is_not_given_is_left_to_prometheus() -> None:
    assert not endpoint_of().keys() & {"scrapeTimeout", "metricRelabelings"}


MONITORING = [("ServiceMonitor", "serviceMonitor"), ("PrometheusRule", "prometheusRule")]


@pytest.mark.parametrize(("kind", "field"), MONITORING)
def test_what_is_switched_off_is_not_made(kind: str, field: str) -> None:
    assert f"{kind}/news" not in made(observed({"monitoring": {field: {"enabled": False}}}))


@pytest.mark.parametrize("missing", kinds.MONITORING, ids=lambda kind: str(kind.kind))
def test_what_the_cluster_does_not_know_is_not_made(missing: kinds.Kind) -> None:
    observation = replace(observed(), knows=frozenset(kinds.OPTIONAL) - {missing})
    there = {name.partition("/")[0] for name in made(observation)}

    assert there & {kind.kind for kind in kinds.MONITORING} == {kind.kind for kind in kinds.MONITORING} - {missing.kind}


@pytest.mark.parametrize(("kind", "field"), MONITORING)
def test_labels_of_the_user_cannot_take_the_operators_place(kind: str, field: str) -> None:
    labels = made(
        observed({"monitoring": {field: {"labels": {names.MANAGED_BY_LABEL: "someone", "release": "prometheus"}}}})
    )[f"{kind}/news"]["metadata"]["labels"]

    assert labels["release"] == "prometheus"
    assert labels[names.MANAGED_BY_LABEL] == names.MANAGER


# Records


def recorded(observation: Observation, decision: Decision) -> dict[str, int]:
    return {one["metadata"]["name"]: one["revision"] for one in records(observation, decision)}


def test_a_record_is_made_of_a_candidate_with_the_next_number() -> None:
    observation = an_observation().serving("m-1").knows("m-0").asks_for("m-2").obj()

    assert recorded(observation, Decision("m-1", candidate="m-2")) == {"m-1": 1, "m-0": 2, "m-2": 3}


def test_a_record_that_was_deleted_is_made_anew() -> None:
    observation = an_observation().unrecorded("m-1").remembers(serving_revision="m-1").obj()

    assert recorded(observation, decide(observation, {})) == {"m-1": 1}


def test_records_beyond_the_limit_go_the_oldest_first() -> None:
    observation = an_observation(revisionHistoryLimit=1).knows("m-1", "m-2", "m-3", "m-4").asks_for("m-4").obj()

    assert recorded(observation, Decision("m-4", standby="m-1")) == {"m-1": 1, "m-3": 3, "m-4": 4}


def test_a_record_keeps_what_the_revision_is() -> None:
    observation = an_observation().serving("m-1").obj()
    record = records(observation, Decision("m-1"))[0]

    assert record["data"] == {"model": {"uri": "https://models/m-1.keras", "name": "m"}, "image": "server:1"}


def test_a_record_tells_of_its_rejection() -> None:
    observation = an_observation().standby("m-1").ready("m-1").serving("m-2").asks_for("m-2").obj()
    decision = decide(observation, {"m-2": degraded()})
    annotations = {
        one["metadata"]["name"]: one["metadata"].get("annotations", {}) for one in records(observation, decision)
    }

    assert annotations["m-1"] == {}
    text = annotations["m-2"][names.REJECTION_ANNOTATION]
    assert Rejection.parse(json.loads(text)) == decision.rejection


@pytest.mark.parametrize(("retry", "still"), [(None, True), ("1", False)])
def test_a_rejection_stands_on_the_record_until_a_retry(retry: str | None, still: bool) -> None:
    observation = an_observation().serving("m-1").rejected("m-2").asks_for("m-2").having(asked=Asked(retry=retry)).obj()
    record = records(observation, decide(observation, {}))[-1]

    assert (names.REJECTION_ANNOTATION in record["metadata"].get("annotations", {})) == still
    assert observation.status.rejections == [a_rejection("m-2")]
