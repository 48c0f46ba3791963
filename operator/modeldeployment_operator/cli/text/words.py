"""Numbers and times as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from modeldeployment_operator.core.fleet import time_of


def span(passed: timedelta) -> str:
    """Return a span of time by its largest units."""
    seconds = max(0, int(passed.total_seconds()))
    if seconds < 60:
        return f"{seconds} s"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if minutes < 60:
        return f"{minutes} min"
    if hours < 48:
        return f"{hours} h {minutes % 60} min" if hours < 5 and minutes % 60 else f"{hours} h"
    return f"{days} days"


def ago(text: str | None, now: datetime) -> str:
    """Return how long ago a time of the status was; nothing if it is none."""
    time = time_of(text)
    return span(now - time) if time else ""


def clock(text: str | None) -> str:
    """Return a time of the status as people read it; it is UTC everywhere."""
    time = time_of(text)
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S") if time else "at an unknown time"


def percent(share: float) -> str:
    """Return a share in percent; only nothing is 0% and only all of it 100%."""
    value = 100 * share
    if 0 < value < 1:
        return "<1%"
    if 99 < value < 100:
        return ">99%"
    return f"{value:,.0f}%"


def hours(number: float) -> str:
    """Return a number of hours as a span of time."""
    return span(timedelta(hours=min(number, 24 * 36500)))
