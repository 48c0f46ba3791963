"""What a user has Prometheus asked for instead of what the pods count: selectors of raw counters.

A selector, and no other PromQL: `rate()` and `increase()` extrapolate, and a sum of several processes' counters falls
when one of them goes. Raw samples also keep the time of their scrape, so that both numbers are of the same one.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Annotated, Final

from pydantic import Field

from modeldeployment_operator.api.base import ApiModel, Obeys, Rule, form

NAMESPACE: Final = "$(namespace)"
NAME: Final = "$(name)"
REVISION: Final = "$(revision)"
_TEXT: Final = r'"([^"\\\n]|\\.)*"'
_MATCHER: Final = rf"[ \n]*[a-zA-Z_][a-zA-Z0-9_]*[ \n]*(=~|!~|!=|=)[ \n]*{_TEXT}[ \n]*"
_SELECTOR: Final = rf"[ \n]*([a-zA-Z_:][a-zA-Z0-9_:]*)?[ \n]*\{{{_MATCHER}(,{_MATCHER})*(,[ \n]*)?\}}[ \n]*"


def _is(placeholder: str) -> str:
    """Return an expression for a label's being what a placeholder stands for."""
    return rf'[a-zA-Z0-9_ \n]=~?[ \n]*"([^"\\\n]|\\.)*{re.escape(placeholder)}'


_IS_NAMESPACE: Final = _is(NAMESPACE)
_IS_REVISION: Final = _is(REVISION)


def _leaves_none(text: str) -> bool:
    for known in (NAMESPACE, NAME, REVISION):
        text = text.replace(known, "")
    return "$(" not in text


Selector = Annotated[
    str,
    Field(max_length=1024),
    form(
        _SELECTOR,
        'write a selector of raw counters, name{label="value",…}, with double quotes: no function, as rate, increase '
        "or sum, no range and no offset. Differences and sums are for the operator to take",
    ),
    Obeys(
        Rule(
            cel=f"self.matches(r'{_IS_NAMESPACE}') && self.matches(r'{_IS_REVISION}')",
            holds=lambda text: re.search(_IS_NAMESPACE, text) is not None and re.search(_IS_REVISION, text) is not None,
            message=f'the selector needs a label="{NAMESPACE}" and a label="{REVISION}": otherwise labels of another '
            "revision, or of the same one in another namespace, would count",
        )
    ),
    Obeys(
        Rule(
            cel=f"!self.replace('{NAMESPACE}', '').replace('{NAME}', '').replace('{REVISION}', '').contains('$(')",
            holds=_leaves_none,
            message=f"only {NAMESPACE}, {NAME} and {REVISION} stand for something",
        )
    ),
]


class Query(ApiModel):
    """Counters of another process than the pods', as of a job that labels what they have answered."""

    correct: Selector = Field(
        description="Selector of the counters of labels that speak for the model. $(namespace), $(name) and "
        "$(revision) stand for those of what is judged."
    )
    total: Selector = Field(
        description="Selector of the counters of all labels, of the same processes: what differs between both "
        "selectors does not tell processes apart, all other labels do."
    )

    rules = (
        Rule(
            cel="self.correct != self.total",
            holds=lambda self: self.correct != self.total,
            message="correct and total are the same: every model would be right always",
        ),
    )

    @property
    def digest(self) -> str:
        """What changes when something else is counted."""
        text = json.dumps([self.correct.split(), self.total.split()])
        return hashlib.sha256(text.encode()).hexdigest()[:12]
