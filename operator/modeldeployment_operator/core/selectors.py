"""Selectors of a user's counters: what is asked for a revision, and which labels tell processes apart."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from modeldeployment_operator.api.query import NAME, NAMESPACE, REVISION, Query
from modeldeployment_operator.core.observation import Key

_TEXT: Final = r"""("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)"""
_MATCHER: Final = re.compile(rf"([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*{_TEXT}")


def filled(selector: str, key: Key, revision: str) -> str:
    """Return a selector for one revision.

    Nothing can be slipped in: these names hold letters, digits, - and dots. A dot is any character to a matcher of
    expressions, so it is written as itself there, which between back quotes takes one backslash. An expression may have
    other texts than those of matchers.
    """
    names = {NAMESPACE: key.namespace, NAME: key.name, REVISION: revision}

    def fill(match: re.Match[str]) -> str:
        label, operator, text = match.groups()
        dot = "." if not operator.endswith("~") else r"\." if text.startswith("`") else r"\\."
        written = {placeholder: name.replace(".", dot) for placeholder, name in names.items()}
        return f"{label}{operator}{_named(text, written)}"

    return _named(_MATCHER.sub(fill, selector), names)


def _named(text: str, names: Mapping[str, str]) -> str:
    for placeholder, name in names.items():
        text = text.replace(placeholder, name)
    return text


def distinguishing(query: Query) -> frozenset[str]:
    """Return labels that correct and total select differently: series that differ in these alone are of one process."""
    correct, total = _matchers(query.correct or ""), _matchers(query.total or "")
    return frozenset({"__name__", *(label for label, _, _ in correct ^ total)})


def _matchers(selector: str) -> set[tuple[str, str, str]]:
    return {(match[1], match[2], match[3]) for match in _MATCHER.finditer(selector)}
