"""What the fleet asks of every model's histograms is recorded: a thousand models have a hundred thousand buckets."""

from __future__ import annotations

from typing import Final

REQUESTS: Final = "namespace_model:model_request_duration_seconds_count:rate5m"
ERRORS: Final = "namespace_model:model_request_errors_per_requests:ratio_rate5m"
LATENCY: Final = "namespace_model:model_request_duration_seconds:p99_rate5m"
