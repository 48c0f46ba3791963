"""What the operator and the model server agree on: ports, paths, names, environment, the shape of counts.

Constants and plain data only, standard library only, so that the operator can import this module without
importing anything else of the server. `tests/contract/` holds both sides to it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, TypedDict

# --- Ports -------------------------------------------------------------------------------------------------
HTTP_PORT: Final = 8501
"""Predictions, status, metadata and feedback: TensorFlow Serving's own REST port."""
ADMIN_PORT: Final = 8502
"""Metrics, probes, counts and rotation. Never part of the Service that clients call."""
GRPC_PORT: Final = 8500
"""gRPC of TensorFlow Serving and of the Open Inference Protocol: TensorFlow Serving's own port."""
HTTP_PORT_NAME: Final = "http"
GRPC_PORT_NAME: Final = "grpc"
ADMIN_PORT_NAME: Final = "admin"

# --- Paths on the HTTP port --------------------------------------------------------------------------------
MODEL_PATH_TEMPLATE: Final = "/v1/models/{model}"
V2_MODEL_PATH_TEMPLATE: Final = "/v2/models/{model}"
"""Of the Open Inference Protocol."""
PREDICT_SUFFIX: Final = ":predict"
METADATA_SUFFIX: Final = "/metadata"
FEEDBACK_SUFFIX: Final = "/feedback"
FEEDBACK_PATH_TEMPLATE: Final = MODEL_PATH_TEMPLATE + FEEDBACK_SUFFIX

# --- Paths on the admin port -------------------------------------------------------------------------------
METRICS_PATH: Final = "/metrics"
LIVE_PATH: Final = "/healthz"
READY_PATH: Final = "/readyz"
COUNTS_PATH: Final = "/counts"
"""GET, bearer token: a `Counts` as JSON."""
ROTATION_PATH: Final = "/rotation"
"""PUT, bearer token: a `Rotation` as JSON. Idempotent."""

# --- Headers -----------------------------------------------------------------------------------------------
PREDICTION_ID_HEADER: Final = "Prediction-Id"
"""One signed token for a request; the id of its instance i is `TOKEN.i`, and `TOKEN` alone means `TOKEN.0`."""
AUDIT_HEADER: Final = "Prediction-Audit"
"""`true` if the request was picked at random (`Env.AUDIT_FRACTION`): its truth should be found out. Else absent."""
REVISION_HEADER: Final = "Model-Revision"
"""The revision that computed the answer."""
FORWARDED_HEADER: Final = "Model-Forwarded-By"
"""Set on a request that one pod passes to another; such a request is never passed on again. `NAME.HMAC`: the pod, and
64 hexadecimal digits of HMAC-SHA-256 over what is passed on and the body, under the feedback key. Clients cannot make
one: a value that does not verify is as none, and is not passed on."""

# --- Files in the container --------------------------------------------------------------------------------
MODEL_DIR: Final = "/models"
"""An emptyDir that the init container fills and the server mounts read-only."""
KEYS_DIR: Final = "/etc/model-server/keys"
STATE_DIR: Final = "/var/lib/model-server"
"""An emptyDir: what must outlive a restart of the container, but not the pod."""
PVC_DIR: Final = "/source"
"""Where the init container finds the claim of a `pvc://CLAIM/PATH` URI, or the ConfigMap of a `configmap://NAME/KEY`
one, read-only."""
REGISTRY_AUTH_DIR: Final = "/etc/model-server/registry"
"""Where the init container finds a Secret of the type kubernetes.io/dockerconfigjson for `oci://` URIs, if there is
one: the key `.dockerconfigjson`, or a Docker `config.json`."""
CACHE_DIR: Final = "/var/cache/model-server"
"""Where a cache that several pods share is mounted in the init container, if there is one; Env.CACHE_DIR tells."""
FETCH_REPORT_FILE: Final = ".fetch.json"
"""In MODEL_DIR: what the init container did, for the metrics of the server."""
TERMINATION_LOG: Final = "/dev/termination-log"
"""A container that gives up leaves `{"reason": StartFailure, "message": "…"}` here."""

FEEDBACK_KEY_FILE: Final = "feedback-key"
"""In KEYS_DIR: the HMAC key of prediction ids, 32 bytes as 64 hexadecimal digits."""
VERIFYING_KEY_PREFIX: Final = "feedback-key."
"""In KEYS_DIR, with any name after it, at most `MAX_VERIFYING_KEYS`: keys that sign no ids, but whose ids count. One
that is to sign soon lies here first, until all pods know it; one that has signed stays for the 30 days in which labels
count. All keys but the admin token are read again within half a minute when the Secret changes."""
MAX_VERIFYING_KEYS: Final = 8
ADMIN_TOKEN_FILE: Final = "admin-token"  # noqa: S105  # The name of a file, no password.
"""In KEYS_DIR: the bearer token of COUNTS_PATH and ROTATION_PATH."""

FETCH_COMMAND: Final = ("python3", "-m", "model_server.fetch")
SERVE_COMMAND: Final = ("python3", "-m", "model_server")


class Env(StrEnum):
    """Environment of both containers. Everything else about a pod comes through files and the network."""

    MODEL_NAME = "MODEL_NAME"
    MODEL_URI = "MODEL_URI"
    MODEL_DIGEST = "MODEL_DIGEST"
    """`sha256:…`, or absent: then nothing is verified."""
    MODEL_FORMAT = "MODEL_FORMAT"
    """A `ModelFormat`, or absent: found out from the files."""
    MODEL_LABELS = "MODEL_LABELS"
    """JSON list of class names in the order of the model's outputs, or absent."""
    REVISION = "MODEL_REVISION"
    POD_NAME = "POD_NAME"
    POD_UID = "POD_UID"
    POD_IP = "POD_IP"
    PEERS_HOST = "MODEL_PEERS_HOST"
    """DNS name of the revision's headless Service: the pods that may hold a label that came here."""
    DRAIN_SECONDS = "MODEL_DRAIN_SECONDS"
    """How long a pod goes on answering after SIGTERM, until no Service sends it anything."""
    MAX_BODY_BYTES = "MODEL_MAX_BODY_BYTES"
    """The largest body of a prediction that is taken. Or absent: 16 MiB."""
    MAX_MODEL_BYTES = "MODEL_MAX_MODEL_BYTES"
    """Of the init container: the largest model that is fetched, or unpacked. Or absent: 32 GiB."""
    FETCH_SECONDS = "MODEL_FETCH_TIMEOUT_SECONDS"
    """Of the init container: how long fetching may take. Or absent: an hour."""
    CACHE_DIR = "MODEL_CACHE_DIR"
    """Of the init container: a folder that pods share, with models by their digests. Or absent: no cache."""
    CACHE_MAX_BYTES = "MODEL_CACHE_MAX_BYTES"
    """Of the init container: what the cache may hold; the least recently used goes first. Or absent: 20 GiB."""
    FRONTEND_PROCESSES = "MODEL_FRONTEND_PROCESSES"
    """Processes that speak the protocols beside the one that has the model. Or absent: none."""
    MODELS_FILE = "MODEL_CONFIG_FILE"
    """A model configuration file of TensorFlow Serving's, to serve several models without an operator. Or absent: the
    one model of this environment."""
    TLS_DIR = "MODEL_TLS_DIR"
    """A folder with `tls.crt` and `tls.key`, as a Secret of the type kubernetes.io/tls is mounted: the ports for
    clients speak TLS. Beside them `ca.crt`: clients show a certificate of that authority. The certificate is for
    servers and clients, as pods of the model show it to each other. Read again when the files change. Or absent: no
    TLS."""
    TOKENS_FILE = "MODEL_TOKENS_FILE"
    """A file with bearer tokens, one a line, of which clients send one. Read again when it changes. Or absent."""
    FEEDBACK_PORT = "MODEL_FEEDBACK_PORT"
    """A port of its own for labels, which are then taken nowhere else. Or absent: they come to the HTTP port."""
    BATCHING = "MODEL_BATCHING"
    """JSON object with TensorFlow Serving's batching parameters (`max_batch_size`, …). Or absent."""
    EXTRA_OPS = "MODEL_EXTRA_OPS"
    """Operations, with commas between, that a SavedModel may use beyond the harmless ones; `*` for any. Or absent."""
    TASK = "MODEL_TASK"
    """`classification`, as if absent, or `regression`: one number an instance is predicted, and labels are numbers."""
    REGRESSION_TOLERANCE = "MODEL_REGRESSION_TOLERANCE"
    """By how much a predicted number may be off and still counts as correct. Set exactly if the task is regression."""
    TOP_K = "MODEL_TOP_K"
    """From 2 to 20: ids carry so many of the best classes, and labels count as among them or not besides. Or absent."""
    LABEL_MATURITY = "MODEL_LABEL_MATURITY"
    """Seconds, at most 15 days: a label counts when its prediction is that old, and not before. Or absent: at once."""
    AUDIT_FRACTION = "MODEL_AUDIT_FRACTION"
    """Share of the requests, 0 to 1, that are picked at random and marked with AUDIT_HEADER. Or absent: 0."""
    LABELS_COUNTED = "MODEL_LABELS_COUNTED"
    """`all`, as if absent, or `audited`: labels of other predictions are taken, and count for nothing."""
    SLICE_FIELD = "MODEL_SLICE_FIELD"
    """A parameter of the request, or an input with one value an instance, by which labels are told apart."""
    SLICES = "MODEL_SLICES"
    """JSON list of at most 20 values of that field; the rest is `other`. Or absent: the first 20 that get a label."""
    LABEL_STORE = "MODEL_LABEL_STORE"
    """`redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]`, also rediss://, valkey:// and valkeys://: where replicas agree on
    which predictions have their label. Or absent: each pod remembers those of its own predictions."""


class ModelFormat(StrEnum):
    """File formats of a model."""

    KERAS = "keras"
    H5 = "h5"
    SAVED_MODEL = "saved_model"


class StartFailure(StrEnum):
    """Why a pod could not start serving. The same words are the reasons of the condition that users read."""

    FETCH_FAILED = "FetchFailed"
    DIGEST_MISMATCH = "DigestMismatch"
    NOT_A_MODEL = "NotAModel"
    LOAD_FAILED = "LoadFailed"
    BAD_SETTINGS = "BadSettings"


class FeedbackRejection(StrEnum):
    """Why a label was not counted."""

    MALFORMED = "malformed"
    """Not the form of an id, or of a label."""
    FORGED = "forged"
    """The signature does not fit: made up, altered, or issued under another key."""
    FOREIGN = "foreign"
    """A real id, but of another model or revision, that this pod cannot pass on."""
    DUPLICATE = "duplicate"
    """The prediction has its label already; the first one stands."""
    UNKNOWN_CLASS = "unknown_class"
    """The label names no class of the model."""
    EXPIRED = "expired"
    """Older than the label horizon."""
    UNAVAILABLE = "unavailable"
    """The pod that has to count it did not answer in time. The only reason for which sending it again helps."""


class Metric(StrEnum):
    """Prometheus names of a pod; operator/METRICS.md has their labels. None tells the model or the revision."""

    ACCURACY = "model_accuracy"
    """Gauge; absent before the first label."""
    PRECISION = "model_precision"
    """Gauge, of the second of two classes; absent while undefined, as are the next two."""
    RECALL = "model_recall"
    F1 = "model_f1"
    LABELS = "model_labels_total"
    """Counter by `outcome`: correct, wrong."""
    CONFUSION = "model_confusion_total"
    """Counter by `actual` and `predicted`: names of classes, or their numbers; predicted may be no class."""
    LABEL_DELAY = "model_label_delay_seconds"
    """Histogram."""
    PREDICTIONS = "model_predictions_total"
    """Counter of instances."""
    FEEDBACK_REJECTED = "model_feedback_rejected_total"
    """Counter by `reason`: a `FeedbackRejection`."""
    REQUEST_SECONDS = "model_request_duration_seconds"
    """Histogram by `method` and `code`."""
    IDS = "model_prediction_ids_total"
    """Counter of instances whose answer had an id."""
    LABELS_WAITING = "model_labels_waiting"
    """Gauge of labels whose predictions are too young for them to count; absent without a maturity."""
    AUDITED_PREDICTIONS = "model_audited_predictions_total"
    """Counter of instances; absent without audits, as are the next two."""
    AUDITED_LABELS = "model_audited_labels_total"
    """Counter by `outcome`."""
    UNJUDGED_LABELS = "model_unjudged_labels_total"
    """Counter; absent unless only labels of audited predictions count."""
    TOP_K_LABELS = "model_top_k_labels_total"
    """Counter by `k` and `outcome`: correct if the label is one of the k best classes; absent without a top k."""
    SLICE_LABELS = "model_slice_labels_total"
    """Counter by `slice` and `outcome`; absent without slices."""
    ABSOLUTE_ERROR = "model_absolute_error"
    """Summary of |label − prediction|; absent without regression, as are the next two."""
    SQUARED_ERROR = "model_squared_error"
    """Summary."""
    SCORE = "model_score"
    """Summary of max(0, 1 − absolute error ÷ tolerance)."""
    FORWARDED = "model_requests_forwarded_total"
    """Counter by `outcome` of requests that were passed on: answered there, or unreachable and answered here; absent
    before the first rotation of this process that passes requests on."""
    COPIED = "model_requests_copied_total"
    """Counter by `outcome` of copies: answered, failed, dropped; absent before the first rotation with copies."""
    AGREEMENT = "model_copies_compared_total"
    """Counter by `candidate` and `outcome` of instances: same, different; absent before the first answer to a copy."""
    PAIRS = "model_pairs_total"
    """Counter by `candidate` and `outcome` of labels: won, lost, tied, as in `Pairs`; absent before the first."""
    BATCH_SIZE = "model_batch_size"
    """Histogram of instances."""
    BUSY_SECONDS = "model_busy_seconds_total"
    """Counter over all threads."""
    THREADS = "model_threads"
    """Gauge."""
    WAITING = "model_requests_waiting"
    """Gauge."""
    LOAD_SECONDS = "model_load_duration_seconds"
    """Gauge; absent until the model is loaded, as are the three before it."""
    FRONTENDS = "model_frontend_processes"
    """Gauge; absent where there shall be none."""
    FETCH_BYTES = "model_fetch_bytes"
    """Gauge, of the init container while it fetches, and then of the server, as are the next three."""
    FETCH_CACHED_BYTES = "model_fetch_cached_bytes"
    FETCH_EXPECTED_BYTES = "model_fetch_expected_bytes"
    """Absent if the source does not say it."""
    FETCH_SECONDS = "model_fetch_duration_seconds"
    COUNTING_INFO = "model_counting_info"
    """1, by `pod_uid` and `started`, which are those of `Counts`."""


class Counts(TypedDict):
    """What one pod has counted since `started`; cumulative, so that a reading can be missed or repeated.

    For a model of two classes, class 1 is the positive one and the four cells are exact. For more classes the four
    cells are 0 and only `correct` and `wrong` move; so it is for values, which are correct within the tolerance. Labels
    that do not count (yet) by `Env.LABEL_MATURITY` and `Env.LABELS_COUNTED` are in none of the numbers.
    """

    revision: str
    pod_uid: str
    started: str
    """Identifies this run of counting; it changes if and only if the numbers began again at 0."""
    correct: int
    wrong: int
    true_positive: int
    false_positive: int
    true_negative: int
    false_negative: int
    predictions: int
    rotation: Rotation
    """The one that is in force."""
    classes: list[ClassCounts]
    """Of up to 20 classes those that were labelled or predicted; of a model of more, none."""
    slices: list[SliceCounts]
    """The labels of slices that got any (`Env.SLICE_FIELD`)."""
    pairs: list[Pairs]
    """How other revisions did on copies of this pod's requests, of those that got any and whose labels came."""


class ClassCounts(TypedDict):
    """One class against all others."""

    name: str
    """Its name, or its number where it has none."""
    true_positive: int
    false_positive: int
    false_negative: int


class SliceCounts(TypedDict):
    """The labels of one slice."""

    name: str
    correct: int
    wrong: int


class Pairs(TypedDict):
    """How a revision's answers to copies compare with this pod's own, by the labels of both.

    A pair counts when the label of this pod's prediction counts, and in the same run of counting (`Counts.started`).
    """

    revision: str
    won: int
    """Labels by which only that revision was right."""
    lost: int
    """By which only this pod was."""
    tied: int
    """By which both were, or neither."""


class Rotation(TypedDict):
    """Which requests for predictions a pod answers by itself.

    - `forward_to` None: all.
    - `share` 1: none, as the pod has left the rotation. It marks every answer `Connection: close`, so its clients move
      to the pods that the Service selects; until they have, their answers already come from the revision that serves.
    - `share` between 0 and 1: each is passed on with that probability, independently of all others, and clients keep
      their connections.
    - `copy`: all, and the revision at `forward_to` gets a copy of that share of them, whose answers no client sees.

    If `forward_to` cannot be reached the pod answers itself, and says so in REVISION_HEADER. Labels are never passed on
    by this: they belong to the pod that made the prediction.
    """

    forward_to: str | None
    """`HOST:PORT`, where PORT is that of HTTP."""
    share: float
    """Above 0 and at most 1. 1 if it is left out; without `forward_to` it is 1."""
    copy: bool
    """False if it is left out; without `forward_to` it is false."""
