"""What its user should know besides: a situation that `spec.policies` speaks of, or a word that cannot be obeyed."""

from __future__ import annotations

from collections.abc import Iterator

from modeldeployment_operator.api.conditions import ConditionStatus, ConditionType, Reason
from modeldeployment_operator.api.policies import Action, Situation, field_of
from modeldeployment_operator.api.status import SituationStatus
from modeldeployment_operator.core.claims import Claim, View
from modeldeployment_operator.core.rejection import is_given_up
from modeldeployment_operator.core.situations import has_cost_a_revision


def needs_attention(view: View) -> list[Claim]:
    """Return one claim of all there is to tell, its reason that of the first; none if there is nothing."""
    told = [*_word_of_its_user(view), *_situations(view)]
    if not told:
        return []
    return [
        Claim(
            ConditionType.NEEDS_ATTENTION,
            ConditionStatus.TRUE,
            told[0][0],
            "; ".join(dict.fromkeys(message for _, message in told)),
        )
    ]


def policy(one: SituationStatus, action: Action) -> str:
    """Return where it is said what is done."""
    return f"spec.policies.{field_of(one.situation)}.action is {action.value}"


def _situations(view: View) -> Iterator[tuple[Reason, str]]:
    for one in view.decision.situations:
        yield Reason(one.situation.value), f"{one.message} (since {one.since}): {_done(view, one)}"


def _done(view: View, one: SituationStatus) -> str:
    """Say what is done about it, and what ends that."""
    serves = one.revision == view.decision.serving
    wanted = view.observation.spec.policies.action(one.situation)
    where = policy(one, wanted)
    if one.resumed:
        return "it goes on all the same, as its user said"
    match one.action:
        case Action.ROLL_BACK:
            if view.observation.paused:
                return f"it is taken back when spec.paused is false again, because {where}"
            if view.decision.standby is None:
                return "nothing is changed by that, because there is no good revision to go back to"
            return f"it gives way to {view.decision.standby} as soon as that can serve, because {where}"
        case Action.PAUSE:
            return f"nothing goes on until kubectl model resume, because {where}"
        case Action.HOLD:
            return _held(view, one, wanted)
        case Action.PROMOTE:
            return f"its step counts as done, because {where}"
        case Action.ALERT:
            return "nothing is changed by that" if serves else f"nothing is changed by that, because {where}"


def _held(view: View, one: SituationStatus, wanted: Action) -> str:
    """Say what stays as it is, and what follows if that lasts."""
    serves = one.revision == view.decision.serving
    is_kept = view.decision.standby_runs
    in_vain = has_cost_a_revision(view.observation, one.since) or (serves and not is_kept)
    follows = wanted is Action.PAUSE or (wanted is Action.ROLL_BACK and not in_vain)
    later = f", and {wanted.value} follows" if follows else ""
    what = "the rollout is held"
    if serves:
        what = "the previous revision is kept running" if is_kept else "no rollout begins or goes on"
    if one.situation is Situation.DRIFT:
        return (
            f"{what} and gets no requests as long as that lasts; what is proven stays so, and later labels "
            "end it only for the other: apply another model, or kubectl model promote or abort"
        )
    return f"{what} as long as that lasts{later}"


def _word_of_its_user(view: View) -> Iterator[tuple[Reason, str]]:
    """Tell what became of giving up the revision that serves, unless it has given way."""
    serving = view.decision.serving
    if serving is None or not is_given_up(view.observation, serving):
        return
    if view.decision.standby is None:
        message = (
            f"{serving} cannot be given up, because there is no good revision to go back to: it serves on until "
            "another model is applied"
        )
        yield Reason.NO_ROLLBACK_TARGET, message
    else:
        yield Reason.ABORTED, f"{serving} is given up: {view.decision.standby} is being started to take the traffic"
