"""How numbers and times are written for people and for the API."""

from __future__ import annotations

from datetime import UTC, datetime

from modeldeployment_operator.api.conditions import MESSAGE_LENGTH


def timestamp(time: datetime) -> str:
    """Return a time as Kubernetes writes it, to the second."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def precise(time: datetime) -> str:
    """Return a time to the millisecond."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{time.microsecond // 1000:03d}Z"


def span(seconds: float) -> str:
    """Return a span of time as Prometheus reads it, to the millisecond: `1h30m`, `250ms`; `0s` if it is none."""
    left = round(seconds * 1000)
    parts = []
    for unit, milliseconds in (("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        number, left = divmod(left, milliseconds)
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts) or "0s"


def ratio(value: float) -> str:
    """Return a share or a metric with four decimals."""
    return f"{value:.4f}"


def count(number: int, noun: str) -> str:
    """Return `1 label`, `2 labels`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def shortened(message: str, longest: int = MESSAGE_LENGTH) -> str:
    """Return the beginning of a message that is longer than it may be: if nothing is said, than in a condition."""
    return message if len(message) <= longest else message[: longest - 1] + "…"
