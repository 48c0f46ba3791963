"""One revision from label to label: `life.look(a_sample("a", 7, 3))`."""

from __future__ import annotations

from typing import Any

from modeldeployment_operator.api.spec import Accuracy
from modeldeployment_operator.api.status import Baseline, RevisionPhase
from modeldeployment_operator.core.judgement import Judged, judge_revision
from modeldeployment_operator.core.observation import Sample

from tests.support.observations import a_revision

MINIMUM = {"minimum": 0.9}


class Life:
    """One revision that is looked at again and again; what was found is remembered as the status would."""

    def __init__(
        self,
        accuracy: dict[str, Any] | None = None,
        baseline: Baseline | None = None,
        serving_since: str | None = None,
    ) -> None:
        self.accuracy = Accuracy.parse(accuracy or MINIMUM)
        self.revision = a_revision("m-1", RevisionPhase.SERVING, baseline=baseline, serving_since=serving_since)

    def look(self, *samples: Sample, present: set[str] | None = None) -> Judged:
        """Read these; the pods that answer are those that are there, unless told otherwise."""
        there = {sample.pod_uid for sample in samples} if present is None else present
        return self._remember(judge_revision(self.accuracy, self.revision, samples, there))

    def wait(self, *present: str) -> Judged:
        """It is not time to read anything."""
        return self._remember(judge_revision(self.accuracy, self.revision, None, set(present)))

    def demand(self, accuracy: dict[str, Any]) -> None:
        self.accuracy = Accuracy.parse(accuracy)

    @property
    def pods(self) -> dict[str, tuple[str, int, int]]:
        assert self.revision.evidence is not None
        return {pod.uid: (pod.started, pod.right, pod.wrong) for pod in self.revision.evidence.pods}

    def _remember(self, judged: Judged) -> Judged:
        changed = {"evidence": judged.state, "verdict": judged.verdict}
        self.revision = type(self.revision).parse(
            self.revision.model_copy(update=changed).model_dump(mode="json", by_alias=True)
        )
        return judged


def counted(judged: Judged) -> tuple[int, int]:
    assert judged.state is not None
    return judged.state.right, judged.state.wrong
