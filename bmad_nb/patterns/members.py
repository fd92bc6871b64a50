"""Several LLMs on one task: the parts that ask them, and what each of them answered."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from bmad_nb import prompts
from bmad_nb.answers.canonical import KINDS, Kind, canonical, kind_of
from bmad_nb.answers.extracting import final_answer
from bmad_nb.messages import Message
from bmad_nb.patterns.base import Part, Reply
from bmad_nb.plan import Step
from bmad_nb.plan_parts import Assignment, Collaborating, Member

_FENCED = re.compile(r"```[\w+-]*[ \t]*\n([^`]*?)\n?```")
SHORT = 160
"""Characters of a text in one line that counts as an answer by itself; a longer one is prose."""


def bare(step: Step, **fields: Any) -> Step:
    """Return a step of its own beside a task: nothing that modifies the task modifies it."""
    plain: dict[str, Any] = {
        "repeat": None, "reducing": None, "refining": None, "checks": (), "question": None,
        "plan": None, "fallbacks": (), "asserts": (), "collaborating": None, "cascading": None,
        "first_rung": 0,
    }  # fmt: skip
    return dataclasses.replace(step, **{**plain, **fields})


def filled(
    step: Step, names: Mapping[str, Any], messages: tuple[Message, ...] = ()
) -> tuple[Message, ...]:
    """Return what a step asks."""
    return messages or tuple(Message(role, prompts.fill(text, names)) for role, text in step.turns)


def task_of(messages: Sequence[Message]) -> str:
    """Return the task in words, as those are told it who judge an answer to it."""
    return "\n\n".join(m.text for m in messages if m.role == "user")


def member_part(step: Step, member: Member, name: str, messages: tuple[Message, ...]) -> Part:
    """Return the part that asks a member for an answer to the task."""
    work = bare(step, verb="prompt", assignment=member.assignment)
    if member.role:
        said = f"You are: {member.role}."
        messages = (Message("system", said), *messages)
    return Part(name, work, {}, messages, member.sample)


def question_part(
    step: Step, judge: Assignment, name: str, said: tuple[str, str], *, schema: Any, sample: int = 0
) -> Part:
    """Return a part that asks an LLM about answers, in a form of its own.

    Args:
        step: the task.
        judge: who is asked.
        name: what the part is called.
        said: who it is to be, and what it is asked.
        schema: the form of what it says.
        sample: number of the sample.
    """
    system, user = said
    work = bare(step, verb="prompt", assignment=judge, schema=schema, params=())
    messages = (Message("system", system), Message("user", user))
    return Part(name, work, {}, messages, sample)


class Ballot(NamedTuple):
    """What members answered, so that equal answers are equal."""

    votes: dict[str, str | None]
    """Answer in canonical form by member; None if it gave none."""
    shown: dict[str, str]
    """How each answer reads."""
    texts: dict[str, str]
    """Whole text by member that answered; a blank text is no answer."""
    is_prose: bool
    """Whether texts were grouped by likeness, because they hold no short answer."""


def ballot(part: Collaborating, replies: Mapping[str, Reply]) -> Ballot:
    """Return what members answered.

    Args:
        part: which field decides, and what answers are.
        replies: by member.
    """
    given = {name: reply.result.spelled for name, reply in replies.items() if reply.is_done}
    texts = {name: text for name, text in given.items() if text.strip()}
    raw = {name: _raw(part, r) for name, r in replies.items()}
    short = [each for each in raw.values() if each is not None]
    if texts and len(short) * 2 < len(texts):
        return _prose(texts, list(replies))
    kind: Kind = part.answers if part.answers in KINDS else "auto"  # type: ignore[assignment]
    kind = kind_of(short) if kind == "auto" else kind
    votes = {name: canonical(each, kind) for name, each in raw.items()}
    shown: dict[str, str] = {}
    for name in sorted(texts):
        if raw[name] is None:  # beside short answers a text is an answer of its own
            votes[name] = f"like {name}"
            shown[f"like {name}"] = brief(texts[name])
    for name in sorted(raw):
        answer, said = votes[name], raw[name]
        if answer is not None and said is not None:
            shown.setdefault(answer, said)
    return Ballot(votes, shown, texts, is_prose=False)


def _raw(part: Collaborating, reply: Reply) -> str | None:
    """Return the short answer in a reply; None if it has none."""
    if not reply.is_done:
        return None
    value = reply.row.value
    if value is not None:
        if part.field and isinstance(value, Mapping):
            value = value.get(part.field)
        return None if value is None else prompts.as_text(value)
    text = _unfenced(reply.result.text or "")
    kind: Kind = part.answers if part.answers in KINDS else "auto"  # type: ignore[assignment]
    found = final_answer(text, kind)
    if found is None and len(text.strip()) <= SHORT and "\n" not in text.strip():
        return text.strip() or None
    return found


def _unfenced(text: str) -> str:
    """Return what stands in a code fence where there is nothing else."""
    whole = _FENCED.fullmatch(text.strip())
    return whole[1] if whole else text


def _prose(texts: Mapping[str, str], names: Sequence[str]) -> Ballot:
    """Return long texts as votes for the groups of like ones that they are in."""
    from bmad_nb.consensus.medoid import medoid  # numpy, which a single answer does not need

    found = medoid(texts)
    votes: dict[str, str | None] = dict.fromkeys(names)
    shown = {}
    for group in (found.group, *found.others):
        typical = found.voter if group == found.group else group[0]
        for name in group:
            votes[name] = f"like {typical}"
        shown[f"like {typical}"] = brief(texts[typical])
    return Ballot(votes, shown, dict(texts), is_prose=True)


def brief(text: str) -> str:
    """Return the beginning of a text, in one line."""
    line = " ".join(text.split())
    return line if len(line) <= SHORT else f"{line[: SHORT - 1]}…"


def rows_of(
    members: Sequence[Member],
    replies: Mapping[str, Reply],
    found: Ballot,
    earlier: Mapping[str, Sequence[Reply]] = MappingProxyType({}),
) -> list[dict[str, Any]]:
    """Return a row for each member that was asked, those that failed among them.

    Args:
        members: who was asked.
        replies: the last word of each.
        found: what they answered.
        earlier: their other replies, whose cost and errors count too.
    """
    rows = []
    for member in members:
        reply = replies.get(member.name)
        if reply is None:
            continue
        answer = found.votes.get(member.name)
        said = (*earlier.get(member.name, ()), reply)
        rows.append(
            {
                "name": member.name,
                "llm": reply.row.llm or member.assignment.llm,
                "answer": None if answer is None else found.shown.get(answer, answer),
                "state": reply.row.state,
                "error": next((r.row.error for r in said if r.row.error), None),
                "weight": member.weight,
                "cost_usd": cost_of(said),
                "simulated": reply.row.simulated,
            }
        )
    return rows


def cost_of(replies: Iterable[Reply]) -> float | None:
    """Return US dollars of replies; None where one is unknown."""
    costs = [reply.row.cost_usd for reply in replies]
    return None if None in costs else float(sum(each for each in costs if each is not None))


def deciding_field(schema: Any) -> str:
    """Return the field of an output that is voted on where none is named; empty for the whole.

    The first that is one of some values, true or false, or a number; else the first text.
    """
    fields = schema.get("properties") if isinstance(schema, Mapping) else None
    if not isinstance(fields, Mapping):
        return ""
    for name, each in fields.items():
        if "enum" in each or each.get("type") in {"boolean", "integer", "number"}:
            return str(name)
    return next((str(n) for n, each in fields.items() if each.get("type") == "string"), "")
