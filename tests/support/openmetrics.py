"""Readings of a past that never was, as OpenMetrics, which promtool turns into blocks of data."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

Labels = Mapping[str, str]
Key = tuple[str, tuple[tuple[str, str], ...]]


class Recording:
    """Collects the values of series at times that only go forward."""

    def __init__(self) -> None:
        self.time = 0.0
        """Unix time, in seconds, of what is put next."""
        self._series: dict[Key, list[tuple[float, float]]] = defaultdict(list)
        self._counters: dict[Key, float] = defaultdict(float)

    def put(self, name: str, value: float, labels: Labels) -> None:
        """Note the value of a gauge."""
        self._series[name, tuple(sorted(labels.items()))].append((self.time, value))

    def add(self, name: str, more: float, labels: Labels) -> None:
        """Note a counter that has grown."""
        key = (name, tuple(sorted(labels.items())))
        self._counters[key] += more
        self._series[key].append((self.time, self._counters[key]))

    def observe(self, name: str, count: float, mean: float, buckets: Sequence[float], labels: Labels) -> None:
        """Note a histogram that took `count` values, spread around their mean as times are."""
        for bound in buckets:
            share = 1 / (1 + (mean / bound) ** 3)
            self.add(f"{name}_bucket", count * share, {**labels, "le": repr(float(bound))})
        self.add(f"{name}_bucket", count, {**labels, "le": "+Inf"})
        self.add(f"{name}_sum", count * mean, labels)
        self.add(f"{name}_count", count, labels)

    def forget(self, **labels: str) -> None:
        """Begin counters anew that carry these labels, as after a restart."""
        wanted = labels.items()
        for key in self._counters:
            if wanted <= dict(key[1]).items():
                self._counters[key] = 0.0

    @property
    def names(self) -> set[str]:
        """Names of all series."""
        return {name for name, _ in self._series}

    def lines(self) -> Iterator[str]:
        """Write everything; each name is a family of its own, which is all that promtool asks for."""
        before = ""
        for (name, labels), points in sorted(self._series.items()):
            if name != before:
                yield f"# TYPE {name} unknown\n"
                before = name
            written = ",".join(f'{label}="{value}"' for label, value in labels)
            for time, value in points:
                yield f"{name}{{{written}}} {value!r} {time:.3f}\n"
        yield "# EOF\n"
