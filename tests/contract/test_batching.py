"""What the operator lets through of batching, the server takes."""

from __future__ import annotations

from model_server.dataplane.batch_settings import LONGEST_MICROS, MOST, BatchSettings, read_batch_settings
from modeldeployment_operator.api.serving import Batching

FULL = {
    "maxBatchSize": MOST,
    "batchTimeoutMicros": LONGEST_MICROS,
    "maxEnqueuedBatches": MOST,
    "numBatchThreads": 1024,
    "allowedBatchSizes": [1, MOST],
    "padVariableLengthInputs": True,
}


def test_both_know_the_same_settings() -> None:
    assert list(Batching.model_fields) == list(BatchSettings.__dataclass_fields__)


def test_the_server_takes_the_largest_that_the_operator_lets_through() -> None:
    given = Batching.parse(FULL)

    settings = read_batch_settings(given.model_dump_json(by_alias=False, exclude_none=True))

    assert settings == BatchSettings(MOST, LONGEST_MICROS, MOST, 1024, (1, MOST), pad_variable_length_inputs=True)


def test_the_defaults_that_the_fields_tell_are_the_servers() -> None:
    defaults = BatchSettings()
    told = {name: field.description or "" for name, field in Batching.model_fields.items()}

    assert f"{defaults.max_batch_size} if absent" in told["max_batch_size"]
    assert f"{defaults.batch_timeout_micros} if absent" in told["batch_timeout_micros"]
    assert f"{defaults.max_enqueued_batches} if absent" in told["max_enqueued_batches"]
