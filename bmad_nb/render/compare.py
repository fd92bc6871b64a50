"""A comparison of several LLMs on one prompt: columns up to four, rows beyond."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bmad_nb.events import CallRow
from bmad_nb.render.base import (
    ACCENT,
    BAD,
    DIM,
    GREY,
    LABEL,
    LINE,
    NONE,
    PRE,
    ComparisonView,
    Html,
    counted,
    cut,
    joined,
    markup,
    points,
    seconds,
    tag,
)
from bmad_nb.render.columns import Column, agreement, cases, columns, money, noun
from bmad_nb.render.diff import Piece, changes
from bmad_nb.render.parts import (
    answer,
    answers_of,
    bar,
    card,
    cell,
    chip,
    cost_words,
    dim,
    failure,
    fold,
    footer,
    header,
    latency_words,
    line,
    llm_name,
    name_block,
    origin_chips,
    prompt,
    provenance,
    setting,
    state_chip,
    table,
    token_words,
)
from bmad_nb.render.rows import rows_html
from bmad_nb.render.verdict import Verdict, same_answers, verdict

WIDEST = 4
"""Most columns of a card; more LLMs stand in rows."""
ANSWER_LIMIT = 9600
"""Bytes of the answers of a card, all columns taken together; at most 4,000 in one."""
DIFF_LIMIT = 1200
"""Bytes of an answer among the differences."""

_BEST = f"background:{ACCENT}12"
_BAD = f"background:{BAD}14"
_INS = "text-decoration:underline;background:#2e8a4a33"
_DEL = "text-decoration:line-through;background:#da41412e;opacity:0.85"
_HEAD = "font-size:11px;opacity:0.72;white-space:nowrap;"


def compare_html(view: ComparisonView) -> str:
    """Return a comparison as markup: a card for one case, a table for several."""
    if len(cases(view.rows)) > 1:
        return rows_html(view)
    shown = columns(view.rows)
    found = verdict(view)
    body = _columns(view, shown, found) if len(shown) <= WIDEST else _lines(view, shown, found)
    first = [prompt(shown[0].rows[0]), provenance(view, shown)] if shown else []
    return card(
        f"Comparison of {counted(len(shown), noun(shown))}",
        header(f"{view.verb} · run {view.run_id}", tally(view, shown), found.sentence,
               (*found.weak, *view.notes)),
        body,
        _differences(view, shown, found),
        *first,
        footer(view),
    )  # fmt: skip


def tally(view: ComparisonView, shown: Sequence[Column]) -> str:
    """Return how many answered, what it cost and how long it took."""
    what = noun(shown)
    answered = sum(bool(each.answered) for each in shown)
    parts = [
        f"{answered} of {counted(len(shown) + view.left, what)} answered",
        money(view).sentence,
    ]
    if view.duration_s is not None:
        parts.append(seconds(view.duration_s))
    return " · ".join(parts)


def _columns(view: ComparisonView, shown: Sequence[Column], found: Verdict) -> Html:
    """Return one column per LLM, with its answer over its measures."""
    if not shown:
        return Html("")
    # room for the longest row head on a page of any width; the LLMs share the rest
    widths = tag("colgroup", Html('<col style="width:94px">'), *(Html("<col>") for _ in shown))
    heads = [
        cell(name_block(each), _chips(each, found), name="th", scope="col",
             style=f"padding:12px 14px 8px 14px;border-top:2px solid {_edge(each, found)};"
             + _ground(each, found))
        for each in shown
    ]  # fmt: skip
    body = [
        _measure("Answer", shown, found, lambda each: _answer(view, each, found), "4px 14px 14px"),
        *_measures(shown, found),
    ]
    return table(
        widths,
        tag("thead", line(cell(""), *heads), style="border:none"),
        tag("tbody", *body),
        style="table-layout:fixed",
    )


def _edge(each: Column, found: Verdict) -> str:
    """Return the colour of the rule over a column."""
    if each.contender in found.best and each.answered:
        return ACCENT
    return BAD if each.rows[0].state in ("failed", "lost") else "transparent"


def _ground(each: Column, found: Verdict) -> str:
    """Return the tint of a column."""
    if each.contender in found.best and each.answered:
        return _BEST
    return _BAD if each.rows[0].state in ("failed", "lost") else ""


def _chips(each: Column, found: Verdict) -> Html:
    """Return the chips under an LLM's name."""
    chips = []
    if not each.answered:
        chips.append(state_chip(each.rows[0]))
    elif each.contender in found.best:
        tie = len(found.best) > 1
        chips.append(chip("✓ tied for best" if tie else "✓ best", ACCENT, strong=True))
    if each.label == found.baseline:
        chips.append(chip("baseline"))
    chips += origin_chips(each)
    return tag("div", joined(chips, " "), style="margin:4px 0 0 0") if chips else Html("")


def _measure(
    name: str, shown: Sequence[Column], found: Verdict, content: Callable[[Column], str],
    padding: str = "6px 14px",
) -> Html:  # fmt: skip
    """Return a row of the card."""
    head = cell(name, name="th", scope="row", style=_HEAD + "padding:6px 10px 5px 20px")
    return line(
        head,
        *(cell(content(each), style=f"padding:{padding};{_ground(each, found)}") for each in shown),
    )


def _answer(view: ComparisonView, each: Column, found: Verdict) -> Html:
    """Return the answer of a column, or why there is none."""
    row = each.rows[0]
    if row.state != "answered":
        return failure(row)
    marked = _marked(each, found, row.text or "")
    limit = min(4000, ANSWER_LIMIT // len({each.label for each in view.rows}))
    return marked or answer(row.text, limit, answers_of(view, row))


def _marked(each: Column, found: Verdict, text: str) -> Html:
    """Return a short answer with the words marked that the baseline does not have."""
    base = found.baseline_text
    if each.label == found.baseline or not base or "\n" in text or len(text) > 600:
        return Html("")
    if cut(base, DIFF_LIMIT) != base:
        return Html("")
    change = changes(base, text)
    if not change.close or not text.strip():
        return Html("")
    kept = [each for each in change.pieces if each.kind != "left_out"]
    return tag("div", _pieces(kept), style=PRE, dir="auto")


def _pieces(pieces: Sequence[Piece]) -> Html:
    """Return stretches of words, marked by what they are."""
    style = {"added": ("ins", _INS), "left_out": ("del", _DEL)}
    return joined(
        (
            tag(style[piece.kind][0], piece.text, style=style[piece.kind][1])
            if piece.kind in style
            else piece.text
            for piece in pieces
        ),
        " ",
    )


def _measures(shown: Sequence[Column], found: Verdict) -> list[Html]:
    """Return the rows of numbers, those that anybody has."""
    rows = [each.rows[0] for each in shown]
    out = []
    if any(row.score is not None for row in rows):
        out.append(_measure("Score", shown, found, lambda each: _score(each, found)))
        out += _reference(rows, len(shown))
    dearest = max((row.cost_usd for row in rows if row.cost_usd), default=None)
    slowest = max((row.latency_s for row in rows if row.latency_s), default=None)
    cheap, fast = lowest(rows)

    def cost(each: Column) -> Html:
        row = each.rows[0]
        share = float(row.cost_usd / dearest) if row.cost_usd and dearest else 0.0
        return _number(*cost_words(row), share if row.cost_usd is not None else None,
                       "cheapest" if row.label == cheap else "")  # fmt: skip

    def latency(each: Column) -> Html:
        row = each.rows[0]
        share = row.latency_s / slowest if row.latency_s and slowest else None
        return _number(*latency_words(row), share, "fastest" if row.label == fast else "")

    out.append(_measure("Cost", shown, found, cost))
    out.append(_measure("Latency", shown, found, latency))
    if any(row.first_token_s is not None for row in rows):
        out.append(_measure("First token", shown, found, lambda each: _first_token(each.rows[0])))
    out.append(
        _measure("Tokens", shown, found, lambda each: _number(*token_words(each.rows[0])),
                 "6px 14px 16px")
    )  # fmt: skip
    return out


def _reference(rows: Sequence[CallRow], width: int) -> list[Html]:
    """Return the row of the right answer, where there is one."""
    right = next((row.reference for row in rows if row.reference is not None), "")
    if not right:
        return []
    head = cell("Reference", name="th", scope="row", style=_HEAD + "padding:6px 10px 5px 20px")
    text = tag("div", cut(right, 1200), style=PRE, dir="auto")
    return [line(head, cell(text, colspan=str(width), style="padding:6px 14px"))]


def lowest(rows: Sequence[CallRow]) -> tuple[str, str]:
    """Return the labels of the cheapest and of the fastest call, empty where nobody is alone.

    Simulated calls and answers from the store are left out: their prices and times are invented,
    or not of this run.
    """
    real = [r for r in rows if r.state == "answered" and not r.simulated and not r.from_store]
    costs = sorted((r.cost_usd, r.label) for r in real if r.cost_usd is not None)
    times = sorted((r.latency_s, r.label) for r in real if r.latency_s is not None)
    cheap = costs[0][1] if len(costs) > 1 and costs[0][0] < costs[1][0] else ""
    fast = times[0][1] if len(times) > 1 and times[0][0] < times[1][0] else ""
    return (cheap if len(costs) == len(real) else ""), (fast if len(times) == len(real) else "")


def _number(text: str, note: str = "", share: float | None = None, mark: str = "") -> Html:
    """Return a number, what is to be said about it, and its bar."""
    weight = 600 if mark else 400
    said = " · ".join(each for each in (note, mark) if each)
    return markup(
        tag("span", text, style=f"font-weight:{weight};white-space:nowrap"),
        markup(" ", dim(said)) if said else "",
        bar(share) if share is not None else "",
    )


def _score(each: Column, found: Verdict) -> Html:
    """Return the score of a column and who gave it."""
    row = each.rows[0]
    if row.score is None or row.state != "answered":
        return dim(NONE if row.state != "answered" else "not scored", "opacity:0.72")
    best = each.contender in found.best
    return markup(
        tag("span", points(row.score), style=f"font-weight:{600 if best else 400}"),
        " ", dim(row.scorer), bar(row.score, ACCENT if best else GREY),
    )  # fmt: skip


def _first_token(row: CallRow) -> Html:
    """Return the time to the first token."""
    sort = ", ".join(["simulated"] * row.simulated + ["when it was made"] * row.from_store)
    return _number(seconds(row.first_token_s), sort if row.first_token_s is not None else "")


def _lines(view: ComparisonView, shown: Sequence[Column], found: Verdict) -> Html:
    """Return one row per LLM, for comparisons too wide for columns."""
    rows = [each.rows[0] for each in shown]
    scored = any(row.score is not None for row in rows)
    cheap, fast = lowest(rows)
    heads = ["LLM", "Answer", *(["Score"] if scored else []), "Cost", "Latency", "Tokens"]
    spaces = ["10px 8px 6px 20px", *(["10px 8px 6px 8px"] * (len(heads) - 1))]
    head = line(*(cell(each, name="th", scope="col", style=f"{_HEAD}padding:{space}")
                  for each, space in zip(heads, spaces, strict=True)))  # fmt: skip
    body = []
    for each in shown:
        row = each.rows[0]
        text = (answer(row.text, 1200, answers_of(view, row))
                if row.state == "answered" else failure(row))  # fmt: skip
        cells = [
            cell(name_block(each), _chips(each, found), name="th", scope="row",
                 style="padding:8px 8px 8px 20px;width:24%"),
            cell(text, style="padding:8px;width:40%"),
            *([cell(_score(each, found), style="padding:8px")] if scored else []),
            cell(_number(*cost_words(row), None, "cheapest" if row.label == cheap else ""),
                 style="padding:8px"),
            cell(_number(*latency_words(row), None, "fastest" if row.label == fast else ""),
                 style="padding:8px"),
            cell(_number(*token_words(row)), style="padding:8px 20px 8px 8px"),
        ]  # fmt: skip
        ground = _ground(each, found) or "background:transparent"
        body.append(line(*cells, style=f"{ground};border-top:1px solid {LINE}"))
    reference = next((row.reference for row in rows if row.reference is not None), "")
    right = tag("div", "Reference: ", tag("span", cut(reference, 1200), dir="auto"),
                style=f"{DIM};{PRE};padding:8px 20px") if reference else ""  # fmt: skip
    return markup(
        tag("div", table(tag("thead", head, style="border:none"), tag("tbody", *body)),
            style="overflow-x:auto"),
        right,
    )  # fmt: skip


def _differences(view: ComparisonView, shown: Sequence[Column], found: Verdict) -> Html:
    """Return how each answer differs from the baseline."""
    answered = [each for each in shown if each.answered]
    if len(answered) < 2:
        return Html("")
    base = found.baseline_text
    lines = [_difference(each, base) for each in answered if each.label != found.baseline]
    marks = markup("\u00a0 ", tag("ins", "added", style=_INS), " \u00a0",
                   tag("del", "left out", style=_DEL))  # fmt: skip
    title = markup(f"Differences from the baseline, {found.baseline}", marks)
    equal = f"{same_answers(agreement(view.rows), 'answer')}" if len(answered) > 2 else ""
    return fold(title, table(tag("tbody", *lines)), aside=equal, is_open=len(shown) <= WIDEST)


def _difference(each: Column, base: str) -> Html:
    """Return one answer against the baseline: word by word if the two are alike."""
    text = each.rows[0].text or ""
    old, new = cut(base, DIFF_LIMIT), cut(text, DIFF_LIMIT)
    change = changes(old, new)
    part = "" if (old, new) == (base, text) and change.whole else " of the first words"
    words = setting(each)
    head = cell(
        llm_name(each.llm), tag("div", words, style=LABEL) if words else "",
        tag("div", f"similarity{part} {points(change.similarity)}", style=LABEL),
        name="th", scope="row", style="padding:8px 16px 8px 0;width:20%",
    )  # fmt: skip
    same = dim("The same words as the baseline.")
    content = same if text == base else words_between(old, new)
    return line(head, cell(content, style="padding:8px 0;line-height:1.6"))


def words_between(old: str, new: str) -> Html:
    """Return what a text adds to another and leaves out, or both where they are not alike."""
    change = changes(old, new)
    if change.close:
        return tag("div", _pieces(change.pieces), style=PRE, dir="auto")
    return _side_by_side(old, new)


def _side_by_side(old: str, new: str) -> Html:
    """Return two answers beside each other."""
    why = ("Fewer than 4 words in 10 are shared, so the two are shown side by side "
           "instead of word by word.")  # fmt: skip

    def half(name: str, text: str, style: str) -> Html:
        body = tag("div", text or "(empty answer)", style=PRE, dir="auto")
        return cell(tag("div", name, style=LABEL), body, style=f"width:50%;{style}")

    return markup(
        tag("div", why, style=f"{DIM};margin:0 0 6px 0"),
        table(tag("tbody", line(
            half("baseline", old, "padding:0 16px 0 0"),
            half("this answer", new, f"padding:0 0 0 16px;border-left:1px solid {LINE}"),
        )), style="table-layout:fixed"),
    )  # fmt: skip
