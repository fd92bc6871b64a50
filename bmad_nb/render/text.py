"""What a terminal and `text/plain` show, and the display of a single answer."""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Sequence
from itertools import zip_longest

from bmad_nb.events import CallRow
from bmad_nb.render.base import (
    DIM,
    LABEL,
    NO_MATH,
    NONE,
    ComparisonView,
    Html,
    counted,
    cut,
    joined,
    markup,
    plain,
    points,
    seconds,
    signed,
    tag,
    tokens,
    usd,
)
from bmad_nb.render.columns import (
    Column,
    case_titles,
    cases,
    columns,
    money,
    noun,
    score_of,
)
from bmad_nb.render.parts import (
    answer,
    answers_of,
    cost_words,
    failure,
    latency_words,
    llm_name,
    origin_chips,
    prompt,
    state_chip,
    token_words,
)
from bmad_nb.render.stats import Paired
from bmad_nb.render.verdict import Verdict, verdict

WIDTH = 88
"""Columns of a terminal that answers are wrapped to."""
ANSWER_LIMIT = 2000
"""Bytes of an answer that a terminal shows."""
ASK_LIMIT = 40_000
"""Bytes of a single answer that a cell shows."""
MOST_ROWS = 50

_NUMBER = re.compile(r"[\u2212+<$]*[\d.,]+( ?(s|%|min.*|h .*))?|\u2013|[\d,]+ / [\d,]+|")


def table_text(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return an aligned table; columns of numbers are aligned to the right.

    >>> print(table_text(["LLM", "score"], [["a", "0.5"], ["bb", "1"]]))
    LLM  score
    a      0.5
    bb       1
    """
    lines = [[" ".join(plain(each).split()) for each in row] for row in (headers, *rows)]
    turned = list(zip_longest(*lines, fillvalue=""))
    widths = [max(_width(each) for each in column) for column in turned]
    right = [
        at > 0 and len(column) > 1 and all(_NUMBER.fullmatch(each) for each in column[1:])
        for at, column in enumerate(turned)
    ]
    out = []
    for row in lines:
        parts = []
        for text, width, flush in zip(row, widths, right, strict=False):
            gap = " " * (width - _width(text))
            parts.append(gap + text if flush else text + gap)
        out.append("  ".join(parts).rstrip())
    return "\n".join(out)


def compare_text(view: ComparisonView) -> str:
    """Return a comparison as plain text: verdict, table, answers, what comes next."""
    shown, every = columns(view.rows), cases(view.rows)
    found = verdict(view)
    many = len(every) > 1
    answered = sum(row.state == "answered" for row in view.rows)
    unit = "call" if many else noun(shown)
    count = f"{answered} of {counted(len(view.rows) + view.left, unit)} answered"
    top = [view.verb, f"run {view.run_id}", count, money(view).sentence]
    if view.duration_s is not None:
        top.append(seconds(view.duration_s))
    weak = textwrap.fill(" ".join(plain(each) for each in (*found.weak, *view.notes)), WIDTH)
    blocks = ["\n".join(filter(None, ["  ".join(top), f"{found.sentence}.", weak]))]
    blocks.append(_measures(shown, found, many=many) if shown else "")
    if many:
        blocks.append(_case_table(view, shown, every))
        blocks.append(_paired(found.paired, found) if found.paired else "")
    else:
        blocks += [_answer_block(view, each, found) for each in shown]
    if view.next_steps:
        blocks.append("Next: " + "   ".join(view.next_steps))
    return plain("\n\n".join(each for each in blocks if each))


def _measures(shown: Sequence[Column], found: Verdict, *, many: bool) -> str:
    """Return the numbers of each column."""
    scored = any(row.score is not None for each in shown for row in each.rows)
    token_head = () if many else ("tokens in / out",)
    heads = ["LLM", *(["score"] if scored else []), "cost", "latency", *token_head, ""]
    if many:
        heads[heads.index("cost")], heads[heads.index("latency")] = "cost per 1,000", "median"
    return table_text(heads, [_measure(each, found, scored=scored, many=many) for each in shown])


def _measure(each: Column, found: Verdict, *, scored: bool, many: bool) -> list[str]:
    """Return the numbers of one column."""
    row = each.rows[0]
    marks = ["* best" if len(found.best) == 1 else "* tied for best"] * (
        each.contender in found.best
    )
    marks += ["baseline"] * (each.label == found.baseline and not many)
    marks += ["simulated"] * each.simulated + ["own machine"] * each.runs_here
    values = [_named(each), *([points(score_of(each.rows))] if scored else [])]
    if many:
        price = each.mean_usd * 1000 if each.mean_usd is not None else None
        values += [usd(price) if each.answered else NONE, seconds(each.median_s)]
        missing = len(each.rows) - len(each.answered)
        marks += [f"{missing} without an answer"] * bool(missing)
        return [*values, ", ".join(marks)]
    cost, latency = cost_words(row), latency_words(row)
    notes = [cost[1]] if row.from_store or row.state != "answered" else []
    notes += [latency[1]] * bool(row.from_store) + [token_words(row)[1]]
    if row.state != "answered":
        marks.insert(0, row.error_kind or row.state.replace("_", " "))
    both = f"{tokens(row.input_tokens)} / {tokens(row.output_tokens)}"
    said = "; ".join(filter(None, [", ".join(marks), *notes]))
    return [*values, cost[0], latency[0], both if row.output_tokens is not None else NONE, said]


def _named(each: Column) -> str:
    """Return a column's label, samples counted from one."""
    if each.samples == 1:
        return each.label
    return f"{each.contender} (sample {each.sample + 1} of {each.samples})"


def _answer_block(view: ComparisonView, each: Column, found: Verdict) -> str:
    """Return one answer under its LLM's name."""
    row = each.rows[0]
    sort = ", simulated" if each.simulated else ""
    base = "  baseline" if each.label == found.baseline else ""
    head = f"[{_named(each)}{sort}]{base}"
    if row.state != "answered":
        return f"{head}\n{_wrapped(_why(row))}\n  {cost_words(row)[1]}"
    return f"{head}\n{_shown(row.text, ANSWER_LIMIT, answers_of(view, row))}"


def _why(row: CallRow) -> str:
    """Return why there is no answer and what to do, one line each."""
    kind = row.error_kind or row.state.replace("_", " ")
    cause = f"{kind}: {cut(row.error, 1200)}" if row.error else kind
    return "\n".join(filter(None, [cause, cut(row.error_hint, 800)]))


def _shown(text: str | None, limit: int, whole: str) -> str:
    """Return an answer, wrapped and cut with a note."""
    full = text or ""
    short = cut(full, limit)
    if not short.strip():
        return "  (empty answer)"
    body = _wrapped(short)
    if len(short) == len(full):
        return body
    return f"{body}\n  … the first {len(short):,} of {len(full):,} characters; all of it: {whole}"


def _wrapped(text: str) -> str:
    """Return text wrapped and indented, its own lines kept."""
    lines: list[str] = []
    for each in plain(text).split("\n"):
        lines += textwrap.wrap(each, WIDTH - 2, replace_whitespace=False) or [""]
    return "\n".join(f"  {each}".rstrip() for each in lines)


def _case_table(view: ComparisonView, shown: Sequence[Column], every: Sequence[str]) -> str:
    """Return the scores, or the answers cut short, case by case."""
    scored = any(row.score is not None for row in view.rows)
    rows = []
    titles = case_titles(view.rows)
    for case in every[:MOST_ROWS]:
        cells = [each.at(case) for each in shown]
        rows.append(
            [_short(titles[case], 40), *(_case_cell(each, scored=scored) for each in cells)]
        )
    text = table_text(["case", *(_named(each) for each in shown)], rows)
    more = len(every) - MOST_ROWS
    return f"{text}\n{more:,} more, in {view.name}.df" if more > 0 else text


def _case_cell(row: CallRow | None, *, scored: bool) -> str:
    """Return one score or one short answer."""
    if row is None:
        return NONE
    if row.state != "answered":
        return row.error_kind or row.state.replace("_", " ")
    return points(row.score) if scored else _short(row.text or "(empty answer)", 28)


def _short(text: str, width: int) -> str:
    """Return the start of a text on one line."""
    one = " ".join(plain(text[: 4 * width]).split())
    return one if len(one) <= width and len(text) <= 4 * width else one[: width - 1] + "…"


def _paired(paired: Paired, found: Verdict) -> str:
    """Return the paired differences and how they were made."""
    rows = []
    for each in paired.differences:
        verdict_word = "better" if each.shown else "no difference shown"
        ends = f"{signed(each.low)} to {signed(each.high)}"
        rows.append([each.against, signed(each.mean), ends, verdict_word])
    heads = [f"{found.means[0][0]} against", "mean", f"{paired.percent} interval", "verdict"]
    return f"{table_text(heads, rows)}\n{paired.method}"


def _width(text: str) -> int:
    """Return the cells that a text takes on a terminal."""
    return sum(
        0 if unicodedata.combining(each) else 2 if unicodedata.east_asian_width(each) in "WF" else 1
        for each in text
    )


def answer_html(row: CallRow, chat: str = "") -> str:
    """Return a single answer as markup: the answer, who gave it, its measures, and its context."""
    column = columns([row])[0]
    chips = origin_chips(column)
    if row.state != "answered":
        chips.insert(0, state_chip(row))
        body = failure(row)
    else:
        body = answer(row.text, ASK_LIMIT, "r.text", scroll=False)
    parts = [
        markup(tag("span", value, style="font-weight:600"), f" {note}" if note else "")
        for value, note in _row_measures(row)
    ]
    score = ""
    if row.score is not None:
        right = f", reference: {cut(row.reference, 600)}" if row.reference is not None else ""
        score = tag("div", f"score {points(row.score)} ({row.scorer}{right})", style=DIM)
    return tag(
        "section",
        tag(
            "div", tag("span", _name_line(column)), " ", joined(chips, " "), style="font-size:12px"
        ),
        tag("div", body, style="margin:6px 0"),
        score,
        tag("div", joined(parts, " · "), style=f"{LABEL};overflow-wrap:anywhere"),
        prompt(row, _sent(row, chat), edge="0") if _sent(row, chat) else "",
        style="max-width:960px;font-size:13px;line-height:1.5;font-variant-numeric:tabular-nums",
        **{"class": NO_MATH},
    )


def _sent(row: CallRow, chat: str) -> str:
    """Return what was sent before the question, in words; empty where it was sent alone."""
    before = sum(message.role == "assistant" for message in row.messages)
    if not (before or chat):
        return ""
    name = f" of chat {chat}" if chat else ""
    return f"Context sent: {counted(before, 'earlier turn')}{name}"


def _name_line(column: Column) -> Html:
    """Return an LLM's id and setting on one line."""
    aside = tag("span", f" {column.variant}", style="opacity:0.72") if column.variant else ""
    return markup(llm_name(column.llm), aside)


def answer_text(row: CallRow, chat: str = "") -> str:
    """Return a single answer as plain text."""
    if row.state == "answered":
        full = row.text or ""
        short = cut(full, ASK_LIMIT)
        body = plain(short) or "(empty answer)"
        if len(short) < len(full):
            body += f"\n… the first {len(short):,} of {len(full):,} characters; all of it: r.text"
    else:
        body = _why(row)
    sort = ["simulated"] * row.simulated + ["runs here"] * row.runs_here
    facts = [row.label + (f" ({', '.join(sort)})" if sort else "")]
    if row.score is not None:
        facts.append(f"score {points(row.score)} ({row.scorer})")
    facts += [f"{value} ({note})" if note else value for value, note in _row_measures(row)]
    sent = _sent(row, chat)
    cut_it = f" · %bmad chat {chat} --show" if chat else ""
    context = f"\n{sent}{cut_it}" if sent else ""
    return plain(f"{body}\n\n{' · '.join(facts)}{context}")


def _row_measures(row: CallRow) -> list[tuple[str, str]]:
    """Return cost, latency and tokens of a call in words."""
    found = [cost_words(row)]
    if row.latency_s is not None:
        found.append(latency_words(row))
    counted_any = row.input_tokens is not None or row.output_tokens is not None
    if counted_any or row.finish_reason == "length":
        found.append(token_words(row))
    return found
