"""What comes to a revision, and since when something does not: predictions, and the labels of them."""

from __future__ import annotations

from datetime import datetime

from modeldeployment_operator.api.status import Activity
from modeldeployment_operator.core.observation import Observation, Sample
from modeldeployment_operator.core.rollout import known_rollout
from modeldeployment_operator.core.standing import revision_status
from modeldeployment_operator.core.text import precise


def samples_of(observation: Observation, revision: str) -> list[Sample]:
    """Return what was read of a revision at this look."""
    return [sample for sample in (observation.samples or {}).values() if sample.revision == revision]


def activity_of(observation: Observation, revision: str) -> Activity | None:
    """Return what is known of a revision's predictions and labels after this look; None if nothing was ever read.

    Labels are those that came, whether the criteria count them or not: of recall, only those of one class are counted.
    A number that is smaller than before is of other pods. Predictions that a source does not tell of are taken to come.
    """
    status = revision_status(observation, revision)
    known, samples = status.activity if status else None, samples_of(observation, revision)
    if not samples:
        return known
    told = [sample.predictions for sample in samples if sample.predictions is not None]
    predictions = sum(told) if len(told) == len(samples) else None
    labels, now = sum(sample.correct + sample.wrong for sample in samples), precise(observation.now)
    running = sum(pod.running for pod in observation.pods_of(revision))
    if known and len(samples) < running:  # Those of pods that did not answer are not gone.
        labels = max(labels, known.labels)
        if known.predictions and predictions is not None:
            predictions = max(predictions, known.predictions)
    if known is None:
        # What came before the first look nobody knows.
        unlabelled = now if predictions is None else None
        return Activity(predictions=predictions, labels=labels, predicted=now, unlabelled=unlabelled)
    came = predictions is None or (known.predictions is not None and predictions > known.predictions)
    unlabelled = (
        None if labels > known.labels or _is_of_an_earlier_step(observation, known, revision) else known.unlabelled
    )
    return Activity(
        predictions=predictions,
        labels=labels,
        predicted=now if came else known.predicted,
        unlabelled=unlabelled or (now if came else None),
    )


def quiet_since(activity: Activity | None, begun: str) -> datetime | None:
    """Return since when no predictions come to a revision that has a share since `begun`; None if nobody can say."""
    if activity is None or activity.predictions is None:
        return None
    return max(datetime.fromisoformat(begun), datetime.fromisoformat(activity.predicted or begun))


def _is_of_an_earlier_step(observation: Observation, known: Activity, revision: str) -> bool:
    rollout = known_rollout(observation, revision)
    return rollout is not None and known.unlabelled is not None and known.unlabelled < rollout.since
