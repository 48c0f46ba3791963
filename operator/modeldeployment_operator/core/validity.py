"""Counts that cannot be, told apart from those that can: they are judged by nobody.

That a pod has more labels than predictions is no fault: labels of predictions that a pod made which is gone count at
its heirs.
"""

from __future__ import annotations

from collections.abc import Mapping

from modeldeployment_operator.core.observation import Pod, Sample
from modeldeployment_operator.core.passing import ANSWERS_ITSELF


def faulty(pod: Pod, fault: str) -> Sample:
    """Return what stands for the counts of a pod that make no sense."""
    return Sample(
        pod_uid=pod.uid,
        revision=pod.revision,
        started="",
        correct=0,
        wrong=0,
        true_positive=0,
        false_positive=0,
        false_negative=0,
        passing=ANSWERS_ITSELF,
        fault=fault,
    )


def sift(samples: Mapping[str, Sample]) -> tuple[dict[str, Sample], dict[str, str]]:
    """Return the samples that make sense, by pod's UID, and by revision what is wrong with the first of the others."""
    sound: dict[str, Sample] = {}
    invalid: dict[str, str] = {}
    for uid, sample in samples.items():
        fault = sample.fault or _fault(sample)
        if fault is None:
            sound[uid] = sample
        else:
            invalid.setdefault(sample.revision, fault)
    return sound, invalid


def _fault(sample: Sample) -> str | None:
    """Return why the labels by class cannot be those that were counted; they are all 0 but for two classes."""
    if sample.true_positive > sample.correct:
        return f"{sample.true_positive} labels of the positive class are right, of {sample.correct} right ones in all"
    wrong = sample.false_positive + sample.false_negative
    return f"{wrong} labels are wrong by class, and {sample.wrong} in all" if wrong > sample.wrong else None
