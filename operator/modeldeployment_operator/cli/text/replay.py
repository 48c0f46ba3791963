"""A recorded decision, and what it comes to when it is reckoned once more."""

from __future__ import annotations

from modeldeployment_operator.api.verdict import ModelVerdictSpec
from modeldeployment_operator.cli.text.layout import facts, paragraph
from modeldeployment_operator.cli.text.style import Style
from modeldeployment_operator.core.replay import Replayed
from modeldeployment_operator.core.text import count


def replayed(style: Style, verdict: ModelVerdictSpec, found: Replayed) -> list[str]:
    """Return the decision, the numbers that it rests on, and whether it follows from them."""
    state = verdict.evidence
    wrong = state.wrong if state else 0
    share = found.log_e / found.proof
    told = [
        ("Decided", f"{verdict.outcome} at {verdict.time}"),
        ("Labels", f"{count(found.labels, 'label')}, {wrong:,} against it"),
        (verdict.metric or "Estimate", f"{found.estimate} [{found.lower}, {found.upper}], demanded {verdict.level}"),
        ("Evidence", f"ln e = {found.log_e:.3f} of ln(1/{verdict.alpha}) = {found.proof:.3f}: {share:.0%} of proof"),
        ("At once", f"ln e = {found.log_e_at_once:.3f}, had all labels come in one step"),
        ("Verdict", "Degraded" if found.degraded else "not Degraded"),
    ]
    lines = [*paragraph(style, verdict.message), "", *facts(style, told), ""]
    if not found.differences:
        return [*lines, style.paint("The record comes to the same.", "green")]
    lines.append(style.paint("The record comes to something else:", "bold", "red"))
    for difference in found.differences:
        lines += paragraph(style, f"- {difference}", "  ", "    ")
    return lines
