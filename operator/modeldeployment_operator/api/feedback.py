"""How labels are asked for, counted and told apart."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from modeldeployment_operator.api.base import ApiModel, NoTwins, Obeys, Rule, lasts
from modeldeployment_operator.api.kubernetes import SecretKey

MATURE_AT_ONCE: Final = "0s"
Maturity = Annotated[str, Field(max_length=16), lasts(MATURE_AT_ONCE, "360h")]
MAX_SLICE_BYTES: Final = 32
"""In UTF-8: prediction ids carry the name."""
_SLICE_NAME: Final = r"[^\x00-\x1f\x7f]+"
SliceName = Annotated[
    str,
    Field(max_length=MAX_SLICE_BYTES),
    Obeys(
        Rule(
            cel=f"self.matches(r'^({_SLICE_NAME})$') && size(bytes(self)) <= {MAX_SLICE_BYTES}",
            holds=lambda name: re.fullmatch(_SLICE_NAME, name) is not None and len(name.encode()) <= MAX_SLICE_BYTES,
            message=f"write a value of the field, without control characters, of {MAX_SLICE_BYTES} bytes at most",
        )
    ),
]


class Counted(StrEnum):
    """Of which predictions the labels are judged."""

    ALL = "All"
    AUDITED = "Audited"


class Slices(ApiModel):
    """By what labels are told apart in the metrics."""

    field: str = Field(
        min_length=1,
        max_length=128,
        description="A parameter of the request, or an input of the model that has one value an instance.",
    )
    values: Annotated[list[SliceName], Field(min_length=1, max_length=20), NoTwins()] | None = Field(
        None, description="Values that have a slice of their own; the first 20 that get a label if absent."
    )


class Feedback(ApiModel):
    """How labels are asked for, counted and told apart."""

    maturity: Maturity = Field(
        MATURE_AT_ONCE,
        description="How old a prediction must be for its label to count, as 24h: where the truth of some comes sooner "
        "than that of others, as of fraud, the early labels are not those of all.",
    )
    audit_fraction: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Share of the requests that are picked at random and answered with the header Prediction-Audit: "
        "find out the truth of these. Their labels are counted by themselves as well.",
    )
    counted: Counted = Field(
        Counted.ALL,
        description="Which labels are judged: All, or only those of Audited requests, where others come in selected.",
    )
    top_k: int | None = Field(
        None, ge=2, le=20, description="Count besides how often a label is one of the K best classes."
    )
    slices: Slices | None = Field(None, description="By what labels are told apart in the metrics.")
    store: SecretKey | None = Field(
        None,
        description="Secret with the URL, redis://…, of a Valkey or Redis by which all pods know which predictions "
        "have their label. Without it, a label that is sent again after its pod is gone may count twice.",
    )

    rules = (
        Rule(
            cel="!has(self.counted) || self.counted == 'All' || has(self.auditFraction) && self.auditFraction > 0.0",
            holds=lambda self: self.counted is Counted.ALL or bool(self.audit_fraction),
            message="counted: Audited needs an auditFraction: else no label counts",
        ),
    )
