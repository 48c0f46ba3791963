"""Whatever happens in whatever order, each prediction counts once: by its first label."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections import Counter
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st
from model_server import journal
from model_server.label_options import Counted, LabelOptions, Task
from model_server.prediction_id import Classes, Key, KeyRing, Values

from tests.support.label_pods import KEY, NOW, Network, Pod

if TYPE_CHECKING:
    from collections.abc import Iterator

ADDRESSES = [IPv4Address("10.0.0.1"), IPv4Address("10.0.0.2")]
SLICES = ["a", "b", "c"]
PODS, IDS = st.integers(0, 1), st.integers(0, 11)
EVENTS = st.one_of(
    st.tuples(st.just("label"), PODS, IDS, st.integers(0, 1)),
    st.tuples(st.just("labels"), PODS, st.lists(st.tuples(IDS, st.integers(0, 1)), min_size=1, max_size=4)),
    st.tuples(st.just("restart"), PODS),
    st.tuples(st.just("wait"), st.integers(1, 400)),
    st.tuples(st.just("rotate")),
    st.tuples(st.just("predict"), PODS),
)


class World:
    """Two pods of one revision, and what their counts should be."""

    def __init__(self, folder: Path, options: LabelOptions) -> None:
        self.folder = folder
        self.options = options
        self.network = Network()
        self.network.names = set(ADDRESSES)
        self.now = float(NOW)
        self.keys = KeyRing(KEY)
        self.secrets = (bytes([number]) * 32 for number in itertools.count(1))
        self.pods = [self.pod(number) for number in (0, 1)]
        self.ids: list[str] = []
        self.made: list[tuple[float, bool]] = []
        """When each prediction was made, and whether it is audited."""
        self.first: dict[int, int] = {}
        """The first label of each prediction, by its number."""
        for number in (0, 1):
            self.predict(number)

    def pod(self, number: int) -> Pod:
        return Pod(
            self.network,
            self.folder,
            ADDRESSES[number],
            options=self.options,
            keys=self.keys,
            clock=lambda: self.now,
        )

    def predict(self, pod: int) -> None:
        """Six predictions; number i of them is of class i % 2, or of the value that is."""
        classes = [0, 1, 0, 1, 0, 1]
        regression = self.options.task is Task.REGRESSION
        issuer = self.pods[pod].issuer
        token, audited = issuer.issue(Values(classes) if regression else Classes(2, classes), SLICES * 2)
        assert token is not None
        self.ids += [f"{token}.{index}" for index in range(6)]
        self.made += [(self.now, audited)] * 6

    async def label(self, pod: int, labels: list[tuple[int, int]]) -> None:
        known = [(self.ids[number], label) for number, label in labels if number < len(self.ids)]
        results = await self.pods[pod].take(*known)
        expected = []
        for number, label in labels:
            if number < len(self.ids):
                expected.append("duplicate" if number in self.first else "accepted")
                self.first.setdefault(number, label)
        assert results == expected

    async def do(self, what: str, *arguments: object) -> None:
        match what, *arguments:
            case "label", int(pod), int(number), int(label):
                await self.label(pod, [(number, label)])
            case "labels", int(pod), list(labels):
                await self.label(pod, labels)
            case "restart", int(pod):  # Nothing is closed, as when the process is killed.
                self.pods[pod] = self.pod(pod)
            case "wait", int(seconds):
                self.now += seconds
            case "rotate", *_:
                self.keys.replace(Key.from_secret(next(self.secrets)), self.keys.all)
            case "predict", int(pod):
                self.predict(pod)

    def check(self) -> None:
        """Hold all that is counted against what should be."""
        tallies = [pod.book.tally for pod in self.pods]
        assert sum(tally.size for tally in tallies) + sum(pod.book.waiting for pod in self.pods) == len(self.first)
        step = max(1, self.options.maturity / 1000)
        surely = self.of_age(self.options.maturity + step + 1)
        maybe = self.of_age(self.options.maturity)
        counted = Counter[tuple[str, bool]]()
        for tally in tallies:
            counted.update(tally.by_slice)
        assert surely <= counted <= maybe
        totals = {True: sum(tally.correct for tally in tallies), False: sum(tally.wrong for tally in tallies)}
        for right, total in totals.items():
            assert total == sum(counted[name, right] for name in SLICES)

    def of_age(self, age: float) -> Counter[tuple[str, bool]]:
        """The labels of predictions that are so old and are judged, by slices and whether these were right."""
        judges_all = self.options.counted is Counted.ALL
        return Counter(
            (SLICES[number % len(SLICES)], number % 2 == label)
            for number, label in self.first.items()
            if (not self.options.maturity or self.now - self.made[number][0] >= age)
            and (judges_all or self.made[number][1])
        )


def options() -> Iterator[LabelOptions]:
    yield LabelOptions()
    yield LabelOptions(maturity=300, slice_field="x")
    yield LabelOptions(task=Task.REGRESSION, tolerance=0.5, maturity=100)
    yield LabelOptions(audit_fraction=0.5, counted=Counted.AUDITED)


@settings(max_examples=60, deadline=None)
@given(st.lists(EVENTS, max_size=25), st.sampled_from(list(options())))
def test_each_prediction_counts_once_by_its_first_label(events: list[tuple[object, ...]], wanted: LabelOptions) -> None:
    async def play(folder: Path) -> None:
        world = World(folder, wanted)
        for what, *arguments in events:
            await world.do(str(what), *arguments)
            world.check()
        for pod in (0, 1):
            await world.do("restart", pod)
        world.check()
        world.now += 1000
        world.check()
        assert not any(pod.book.waiting for pod in world.pods)

    long, journal.COMPACT_AFTER = journal.COMPACT_AFTER, 5  # So that the file is written anew now and then.
    try:
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(play(Path(folder)))
    finally:
        journal.COMPACT_AFTER = long  # type: ignore[misc]
