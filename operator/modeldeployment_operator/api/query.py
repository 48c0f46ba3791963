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

from modeldeployment_operator.api.base import ApiModel, Obeys, Rule, form, lasts

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


_PLACEHOLDERS: Final = (
    Obeys(
        Rule(
            cel=f"self.matches(r'{_IS_NAMESPACE}') && self.matches(r'{_IS_REVISION}')",
            holds=lambda text: re.search(_IS_NAMESPACE, text) is not None and re.search(_IS_REVISION, text) is not None,
            message=f'the query needs a label="{NAMESPACE}" and a label="{REVISION}": otherwise labels of another '
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
)
Lasting = Annotated[str, Field(max_length=16), lasts("0s", "24h")]
Selector = Annotated[
    str,
    Field(max_length=1024),
    form(
        _SELECTOR,
        'write a selector of raw counters, name{label="value",…}, with double quotes: no function, as rate, increase '
        "or sum, no range and no offset. Differences and sums are for the operator to take",
    ),
    *_PLACEHOLDERS,
]


Expression = Annotated[
    str,
    Field(min_length=1, max_length=1024),
    *_PLACEHOLDERS,
]


class Query(ApiModel):
    """Counters of another process than the pods', as of a job that labels what they have answered; or a gauge."""

    correct: Selector | None = Field(
        None,
        description="Selector of the counters of labels that speak for the model. $(namespace), $(name) and "
        "$(revision) stand for those of what is judged.",
    )
    total: Selector | None = Field(
        None,
        description="Selector of the counters of all labels, of the same processes: what differs between both "
        "selectors does not tell processes apart, all other labels do.",
    )
    gauge: Expression | None = Field(
        None,
        description="PromQL that gives one number, instead of counters: it is held against accuracy.minimum, a plain "
        "threshold without a bound on errors. $(namespace), $(name) and $(revision) are filled in.",
    )
    lasting: Lasting = Field(
        "5m", alias="for", description="Of a gauge: how long it must be below the minimum until that is a verdict."
    )

    rules = (
        Rule(
            cel="has(self.gauge) ? !has(self.correct) && !has(self.total) : has(self.correct) && has(self.total)",
            holds=lambda self: (
                self.correct is None and self.total is None
                if self.gauge is not None
                else self.correct is not None and self.total is not None
            ),
            message="give correct and total, which count labels, or gauge alone",
        ),
        Rule(
            cel="has(self.gauge) || !has(self.__for__)",
            holds=lambda self: self.gauge is not None or "lasting" not in self.model_fields_set,
            message="for is said of a gauge; what counters prove, they prove at once",
        ),
        Rule(
            cel="has(self.gauge) || !has(self.correct) || !has(self.total) || self.correct != self.total",
            holds=lambda self: self.gauge is not None or self.correct is None or self.correct != self.total,
            message="correct and total are the same: every model would be right always",
        ),
    )

    @property
    def digest(self) -> str:
        """What changes when something else is counted."""
        parts = (self.gauge, self.correct, self.total)
        text = json.dumps([part and part.split() for part in parts])
        return hashlib.sha256(text.encode()).hexdigest()[:12]
