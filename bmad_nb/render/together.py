"""Several LLMs on one task, as it is shown: who said what, who agrees, and what was found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bmad_nb.events import TaskRow
from bmad_nb.render.base import DIM, LINE, NONE, Html, counted, cut, listed, markup, tag
from bmad_nb.render.parts import cell, chip, line, llm_name, table
from bmad_nb.render.text import table_text

ANSWER_LIMIT = 240
"""Characters of a member's answer that are shown."""
MOST = 40
"""Members, and findings, that are shown of one task."""
_TITLES = {
    "vote": "Vote", "consensus": "Consensus", "ensemble": "Ensemble", "debate": "Debate",
    "best_of_n": "Best of n", "peer_review": "Peer review", "expert": "Experts",
    "cascade": "Cascade",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class MemberRow:
    """One member, as it is shown."""

    name: str
    llm: str
    said: str
    """Its answer, or why there is none."""
    remark: str = ""
    simulated: bool = False


@dataclass(frozen=True, slots=True)
class TogetherView:
    """What several LLMs made of one task."""

    task: str
    title: str
    sentence: str
    members: tuple[MemberRow, ...]
    findings: tuple[tuple[str, str, str, str], ...] = ()
    """Severity, claim, who found it, and what became of it."""
    notes: tuple[str, ...] = ()


def together_view(row: TaskRow) -> TogetherView | None:
    """Return what is shown of a task that several LLMs worked on; None for any other."""
    facts = row.facts or {}
    kind = facts.get("pattern")
    if kind not in _TITLES:
        return None
    members = [each for each in facts.get("members", ()) if isinstance(each, Mapping)]
    return TogetherView(
        row.task,
        _TITLES[kind] + " (self-consistency: one LLM)" * bool(facts.get("self_consistency")),
        _sentence(kind, facts, members),
        tuple(_member(each, facts) for each in members[:MOST]),
        tuple(_finding(each) for each in facts.get("reviews", ())[:MOST]),
        tuple(_notes(facts)),
    )


def _sentence(kind: str, facts: Mapping[str, Any], members: list[Mapping[str, Any]]) -> str:
    answered = sum(each.get("state") == "done" for each in members)
    match kind:
        case "best_of_n":
            score = facts.get("score")
            best = "" if score is None else f", the best has a score of {score:.2f}"
            judges = listed([str(each) for each in facts.get("judged_by") or ()])
            by = f", judged by {judges}" if judges else ""
            return f"{counted(answered, 'answer')}{best}{by}"
        case "peer_review":
            found = facts.get("reviews", ())
            end = "converged" if facts.get("converged") else "not converged"
            fixed = sum(each.get("disposition") == "fixed" for each in found)
            rounds = counted(facts.get("rounds", 0), "round")
            return f"{counted(len(found), 'finding')}, {fixed} fixed, {rounds}, {end}"
        case "expert":
            failed = sum(each.get("state") == "failed" for each in members)
            asked = f"{counted(answered + failed, 'expert')} asked"
            lost = f", {failed} without an answer" if failed else ""
            return f"{asked}{lost}, {len(facts.get('cited', ()))} cited in the answer"
        case "cascade":
            how = "accepted: they agree" if facts.get("accepted") else "the strong LLM was asked"
            return f"{counted(answered, 'cheap answer')}, {how}"
    support = len(facts.get("support", ()))
    alike = "wrote alike" if facts.get("compared") == "wording" else "gave this answer"
    behind = f"{support} of {answered} {alike}" if support else counted(answered, "answer")
    merged = facts.get("merged_by")
    if merged:
        behind = f"merged by {merged} from {counted(len(facts.get('contributors', ())), 'answer')}"
    agreed = f"agreement {facts.get('agreement', 0):.2f}"
    rounds = facts.get("rounds", 1)
    more = f", {counted(rounds, 'round')}" if rounds > 1 else ""
    return f"by {facts.get('method')}: {behind}, {agreed}{more}"


def _member(each: Mapping[str, Any], facts: Mapping[str, Any]) -> MemberRow:
    said = each.get("answer") or each.get("error") or each.get("skipped_because")
    if each.get("part"):
        said = said or each["part"]
    remarks = []
    if each.get("score") is not None:
        remarks.append(f"score {each['score']:.2f}")
    if each.get("weight", 1) != 1:
        remarks.append(f"weight {each['weight']:.2f}")
    if each.get("findings"):
        remarks.append(counted(each["findings"], "finding"))
    if each.get("name") == facts.get("chosen"):
        remarks.append("taken")
    elif each.get("name") in facts.get("support", ()):
        remarks.append("the same")
    if each.get("name") in facts.get("contributors", ()):
        remarks.append("used")
    if each.get("name") in facts.get("cited", ()):
        remarks.append("cited")
    flagged = facts.get("flagged") or {}
    if each.get("flagged") or (isinstance(flagged, Mapping) and each.get("name") in flagged):
        remarks.append("addresses the judge")
    state = each.get("state", "done")
    return MemberRow(
        str(each.get("name", "")),
        str(each.get("llm", "")),
        cut(str(said if said is not None else NONE), ANSWER_LIMIT),
        ", ".join([*([] if state == "done" else [state]), *remarks]),
        bool(each.get("simulated")),
    )


def _finding(each: Mapping[str, Any]) -> tuple[str, str, str, str]:
    became = each.get("disposition", "open")
    if each.get("verdict"):
        became += f", {each['verdict']}"
    return (
        str(each.get("severity", "")),
        cut(str(each.get("claim", "")), ANSWER_LIMIT),
        str(each.get("reviewer", "")) + " (simulated)" * bool(each.get("simulated")),
        became,
    )


def _notes(facts: Mapping[str, Any]) -> Iterable[str]:
    if facts.get("tied"):
        yield "There was a tie."
    errors = [str(each)[:200] for each in facts.get("judge_errors") or ()]
    if errors:
        yield f"Judgements that did not come: {listed(errors)}"
    if facts.get("agreed") is False:
        yield "They do not agree as far as was wanted."
    if facts.get("compared") == "wording":
        yield (
            "The answers are texts, and were compared by their wording: what is alike may mean the "
            "opposite, so that no agreement is claimed."
        )
    flips = facts.get("flips") or ()
    if flips:
        yield f"{counted(len(flips), 'answer')} changed after the others were seen."
    if facts.get("consistent") is False:
        yield "The judge chose otherwise when the order was turned round."
    dissent = [each for each in facts.get("dissent") or () if isinstance(each, Mapping)]
    if dissent:
        said = [f"{each['answer']!s:.80} ({len(each['members'])})" for each in dissent]
        yield f"Dissent: {listed(said, 4)}."
    if facts.get("uncited"):
        yield f"Not cited: {listed([str(each) for each in facts['uncited']], 6)}."


def together_html(view: TogetherView) -> Html:
    """Return what several LLMs made of one task, as markup."""
    pad = "padding:5px 16px 5px 0;overflow-wrap:anywhere"
    rows = [
        line(
            cell(tag("span", cut(each.name, 80), style="font-weight:600"), name="th", scope="row",
                 style=f"{pad};min-width:110px"),
            cell(markup(llm_name(cut(each.llm, 80)), " ",
                        chip("simulated") if each.simulated else ""),
                 style=f"{pad};min-width:110px"),
            cell(each.said, style=f"{pad};width:45%", dir="auto"),
            cell(each.remark or NONE, style=pad),
            style=f"background:transparent;border-top:1px solid {LINE}",
        )
        for each in view.members
    ]  # fmt: skip
    found = [
        line(
            *(cell(each, style=pad, dir="auto") for each in finding),
            style=f"background:transparent;border-top:1px solid {LINE}",
        )
        for finding in view.findings
    ]
    parts = [
        tag("div", f"{view.title} on {view.task}: {view.sentence}", style="margin:0 0 6px 0"),
        _table(("Member", "LLM", "Answer", "Part in it"), rows),
        _table(("Severity", "Finding", "By", "Became"), found) if found else "",
        *(tag("div", each, style=f"{DIM};margin:4px 0 0 0", dir="auto") for each in view.notes),
    ]
    return markup(*parts)


def _table(heads: tuple[str, ...], rows: list[Html]) -> Html:
    style = "font-size:11px;opacity:0.72;padding:0 16px 4px 0"
    head = line(*(cell(each, name="th", scope="col", style=style) for each in heads))
    whole = table(
        tag("thead", head, style="border:none"), tag("tbody", *rows), style="font-size:12px"
    )
    return tag("div", whole, style="overflow-x:auto;margin:0 0 6px 0")


def together_text(view: TogetherView) -> str:
    """Return what several LLMs made of one task, as plain text."""
    rows = [
        (cut(each.name, 40), cut(each.llm, 40) + " (simulated)" * each.simulated,
         cut(" ".join(each.said.split()), 60), each.remark or NONE)
        for each in view.members
    ]  # fmt: skip
    found = [(sev, cut(" ".join(claim.split()), 70), by, end)
             for sev, claim, by, end in view.findings]  # fmt: skip
    parts = [f"{view.title} on {view.task}: {view.sentence}"]
    if rows:
        parts.append(table_text(("member", "LLM", "answer", ""), rows))
    if found:
        parts.append(table_text(("severity", "finding", "by", "became"), found))
    return "\n".join([*parts, *view.notes])
