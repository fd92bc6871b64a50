"""A comparison over several cases: cases down, LLMs across, and what the differences allow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bmad_nb.events import CallRow
from bmad_nb.render.base import (
    ACCENT,
    DIM,
    LABEL,
    LINE,
    NONE,
    PRE,
    SOFT,
    WARN,
    ComparisonView,
    Html,
    counted,
    cut,
    joined,
    markup,
    points,
    seconds,
    tag,
    usd,
)
from bmad_nb.render.columns import (
    Column,
    agreement,
    case_titles,
    cases,
    columns,
    money,
    normalised,
    noun,
    score_of,
)
from bmad_nb.render.interval import paired_section
from bmad_nb.render.parts import (
    answer,
    card,
    cell,
    chip,
    dim,
    failure,
    fold,
    footer,
    header,
    line,
    name_block,
    origin_chips,
    prompt,
    provenance,
    table,
)
from bmad_nb.render.stats import SAME
from bmad_nb.render.verdict import Verdict, verdict

MOST_ROWS = 50
"""Cases that are shown; the rest is in the DataFrame."""
TEXT_LIMIT = 160
"""Bytes of an answer in the table of a comparison that nothing scored."""
CLOSE_LIMIT = 1200
"""Bytes of an answer in the case up close."""

_TH = "padding:10px 6px 8px 6px;font-size:11px;line-height:1.35;vertical-align:bottom;"


def rows_html(view: ComparisonView) -> str:
    """Return a comparison over several cases as markup."""
    shown, every = columns(view.rows), cases(view.rows)
    found = verdict(view)
    scored = any(row.score is not None for row in view.rows)
    grouped = _grouped(view.rows)
    answered = sum(row.state == "answered" for row in view.rows)
    right = [
        f"{answered:,} of {counted(len(view.rows) + view.left, 'call')} answered",
        money(view).sentence,
    ]
    if view.duration_s is not None:
        right.append(seconds(view.duration_s))
    what = f"{counted(len(shown), noun(shown))} \u00d7 {counted(len(every), 'case')}"
    return card(
        f"Comparison of {what}",
        header(f"{view.verb} · {what} · run {view.run_id}", " · ".join(right), found.sentence,
               (*found.weak, *view.notes)),
        _table(view, shown, found, grouped, scored=scored),
        paired_section(found) if found.paired else "",
        _close_up(view, shown, grouped, scored=scored),
        prompt(view.rows[0]),
        provenance(view, shown),
        footer(view),
    )  # fmt: skip


def _grouped(rows: Sequence[CallRow]) -> dict[str, dict[str, CallRow]]:
    """Return the rows by case and label."""
    grouped: dict[str, dict[str, CallRow]] = {}
    for row in rows:
        grouped.setdefault(row.case, {})[row.label] = row
    return grouped


def _table(
    view: ComparisonView, shown: Sequence[Column], found: Verdict,
    grouped: Mapping[str, Mapping[str, CallRow]], *, scored: bool,
) -> Html:  # fmt: skip
    """Return the table of cases and LLMs, capped, with its foot."""
    every = list(grouped)
    last = ("Spread", "Best") if scored else ("Agreement",)
    side = "right" if scored else "left"
    heads = [
        cell("Case", name="th", scope="col", style=_TH + "padding-left:20px;opacity:0.72"),
        *(_column_head(each, side) for each in shown),
        *(cell(each, name="th", scope="col", style=_TH + "padding-left:8px;opacity:0.72")
          for each in last),
    ]  # fmt: skip
    contenders = {each.contender: each for each in shown}
    row_of = _scored_row if scored else _text_row
    titles = case_titles(view.rows)
    body = [row_of(titles[case], shown, contenders, grouped[case]) for case in every[:MOST_ROWS]]
    foot = _foot(shown, found, scored=scored, total=len(every), extra=len(last))
    more = len(every) - MOST_ROWS
    note = tag("div", f"{more:,} more {'case' if more == 1 else 'cases'}, in {view.name}.df",
               style=f"{DIM};padding:6px 20px") if more > 0 else ""  # fmt: skip
    whole = table(
        tag("thead", line(*heads), style=f"border:none;border-bottom:1px solid {LINE}"),
        tag("tbody", *body),
        tag("tfoot", *foot, style=f"border-top:1px solid {LINE}"),
        style="font-size:12px",
    )
    return markup(tag("div", whole, style="overflow-x:auto"), note)


def _column_head(each: Column, side: str) -> Html:
    """Return the name of a column over its chips."""
    name, chips = name_block(each, stacked=True), joined(origin_chips(each), " ")
    return cell(name, chips, name="th", scope="col", style=f"{_TH}text-align:{side}")


def _case_head(case: str) -> Html:
    """Return the label of a case."""
    wrap = "white-space:nowrap" if len(case) <= 24 else "overflow-wrap:anywhere;min-width:150px"
    style = f"padding:4px 8px 4px 20px;{wrap}"
    short = cut(case, 80)
    name = short + "…" * (short != case) or "(no label)"
    return cell(name, name="th", scope="row", dir="auto", style=style)


def _scored_row(
    case: str, shown: Sequence[Column], contenders: Mapping[str, Column],
    rows: Mapping[str, CallRow],
) -> Html:  # fmt: skip
    """Return the scores of one case, the best marked, with their spread."""
    scores = _case_scores(shown, rows)
    top = max(scores.values(), default=0.0)
    spread = top - min(scores.values(), default=0.0)
    best = [name for name, score in scores.items() if top - score <= SAME and spread > SAME]
    cells = [_score_cell(each, rows.get(each.label), best) for each in shown]
    width = tag("div", style=f"height:8px;width:{100 * min(1.0, spread):.0f}%;background:{WARN};"
                "border-radius:2px")  # fmt: skip
    who = _best_words(best, scores, contenders)
    wrap = "white-space:nowrap" if len(who) <= 24 else "overflow-wrap:anywhere"
    meter = tag("div", width, style="display:inline-block;width:36px;vertical-align:middle")
    return line(
        _case_head(case),
        *cells,
        cell(*((meter, " ", points(spread)) if len(scores) > 1 else (NONE,)),
             style="padding:4px 6px 4px 8px;white-space:nowrap"),
        cell(who, style=f"padding:4px 14px 4px 8px;{wrap}"),
    )  # fmt: skip


def _case_scores(shown: Sequence[Column], rows: Mapping[str, CallRow]) -> dict[str, float]:
    """Return the score of each contender in one case, the mean over its samples."""
    found: dict[str, list[CallRow]] = {}
    for each in shown:
        if each.label in rows:
            found.setdefault(each.contender, []).append(rows[each.label])
    return {n: score for n, each in found.items() if (score := score_of(each)) is not None}


def _best_words(
    best: Sequence[str], scores: Mapping[str, float], contenders: Mapping[str, Column]
) -> str:
    """Return who is best in one case."""
    if len(scores) < 2:
        return NONE
    if not best:
        return "all equal"
    if len(best) > 1:
        return f"tie of {len(best)}"
    name = contenders[best[0]].llm.rpartition("/")[2]
    twins = [each for each in contenders.values() if each.llm.rpartition("/")[2] == name]
    return name if len(twins) == 1 else best[0]


def _score_cell(each: Column, row: CallRow | None, best: Sequence[str]) -> Html:
    """Return one score with its heat, or why there is none."""
    style = "text-align:right;padding:4px 6px;white-space:nowrap;"
    if row is None:
        return cell(NONE, style=style)
    if row.state != "answered":
        return cell(_no_answer(row), style="text-align:right;padding:4px 6px;background:#da414114")
    if row.score is None:
        return cell(dim("not scored", "font-size:11px;opacity:0.72"), style=style)
    heat = round(6 + 72 * min(1.0, max(0.0, row.score)) ** 2)
    lead = each.contender in best
    text = f"\u25b8 {points(row.score)}" if lead else points(row.score)
    ground = f"background:{ACCENT}{heat:02x};border-bottom:1px solid {SOFT}"
    number = tag("span", text, style="font-weight:600") if lead else text
    return cell(number, style=f"{style}{ground}")


def _no_answer(row: CallRow) -> Html:
    """Return why a cell has no answer, short."""
    glyph = {"cancelled": "◐", "in_flight": "●"}.get(row.state, "✕")
    why = row.error_kind if row.state == "failed" and row.error_kind else row.state
    return dim(f"{glyph} {why.replace('_', ' ')}", "font-size:11px;opacity:0.78")


def _text_row(
    case: str, shown: Sequence[Column], contenders: Mapping[str, Column],
    rows: Mapping[str, CallRow],
) -> Html:  # fmt: skip
    """Return the answers to one case, cut short, and how many are the same."""
    del contenders
    cells = []
    for each in shown:
        row = rows.get(each.label)
        if row is None or row.state != "answered":
            cells.append(cell(_no_answer(row) if row else NONE, style="padding:4px 8px"))
            continue
        full = row.text or ""
        short = cut(full, TEXT_LIMIT)
        text = (short + "…" if len(short) < len(full) else short) or "(empty answer)"
        cells.append(cell(text, style=f"padding:4px 8px;{PRE};min-width:90px", dir="auto"))
    same = agreement(rows.values())
    words = f"{same.largest} of {same.answers} equal" if same.largest > 1 else "all differ"
    if same.answers < 2:
        words = NONE
    return line(
        _case_head(case), *cells, cell(words, style="padding:4px 14px 4px 8px;white-space:nowrap"),
        style=f"background:transparent;border-bottom:1px solid {SOFT}",
    )  # fmt: skip


def _foot(
    shown: Sequence[Column], found: Verdict, *, scored: bool, total: int, extra: int
) -> list[Html]:
    """Return the means of the columns: score, cost, latency."""

    def row(name: str, values: Sequence[str]) -> Html:
        side = "right" if scored else "left"
        return line(
            cell(name, name="th", scope="row",
                 style="font-size:11px;opacity:0.72;padding:4px 8px 4px 20px"),
            *(cell(each, style=f"text-align:{side};padding:4px 6px") for each in values),
            *(cell("") for _ in range(extra)),
        )  # fmt: skip

    out = []
    if scored:
        out.append(row("Mean score", [_mean(each, total) for each in shown]))
        same, means = len(found.ranked_cases), dict(found.means)
        if 0 < same < total:
            values = [points(means.get(each.contender)) for each in shown]
            out.append(row(f"Mean over the same {counted(same, 'case')}", values))
    out.append(row("$ per 1,000 calls", [_per_thousand(each) for each in shown]))
    out.append(row("Median latency", [_noted(seconds(each.median_s), each) for each in shown]))
    return out


def _mean(each: Column, total: int) -> Html:
    """Return the mean score of a column and over how many cases it is."""
    score = score_of(each.rows)
    count = sum(row.score is not None for row in each.answered)
    few = f"{count} of {total} cases" if count < total else ""
    return markup(
        tag("span", points(score), style="font-weight:600"),
        tag("div", few, style=LABEL) if few else "",
    )


def _noted(text: str, each: Column) -> Html:
    """Return a price or time with the word `simulated` where it is."""
    return markup(text, tag("div", "simulated", style=LABEL) if each.simulated else "")


def _per_thousand(each: Column) -> Html:
    """Return the cost of a thousand calls at the prices of these answers."""
    if not each.answered:
        return Html(NONE)
    if each.mean_usd is None:
        return _noted("price unknown", each)
    text = _noted(usd(each.mean_usd * 1000), each)
    return markup(text, tag("div", "own machine", style=LABEL)) if each.runs_here else text


def _close_up(
    view: ComparisonView, shown: Sequence[Column],
    grouped: Mapping[str, Mapping[str, CallRow]], *, scored: bool,
) -> Html:  # fmt: skip
    """Return the case in which the LLMs differ most, with the answers."""

    def apart(case: str) -> float:
        rows = grouped[case]
        if not scored:
            groups = {normalised(r.text or "") for r in rows.values() if r.state == "answered"}
            return len(groups)
        scores = _case_scores(shown, rows).values()
        return max(scores, default=0.0) - min(scores, default=0.0)

    if not grouped:
        return Html("")
    case = max(grouped, key=apart)
    rows = grouped[case]
    order = sorted(shown, key=lambda each: -_known_score(rows.get(each.label)))
    whole = f"{view.name}.df"
    lines = [_close_line(each, rows[each.label], whole, scored=scored)
             for each in order if each.label in rows]  # fmt: skip
    reference = next((row.reference for row in rows.values() if row.reference is not None), "")
    right = tag("div", "Reference: ", tag("span", cut(reference, 600), dir="auto"),
                style=f"{DIM};{PRE};margin:0 0 6px 0") if reference else ""  # fmt: skip
    aside = f"spread {points(apart(case))}" if scored else "most different answers"
    title = f"One case up close: {cut(case, 120)}"
    return fold(title, right, table(tag("tbody", *lines), style="font-size:12px"), aside=aside)


def _known_score(row: CallRow | None) -> float:
    """Return the score of a row, below all others where it has none."""
    return row.score if row is not None and row.score is not None else -1.0


def _close_line(each: Column, row: CallRow, whole: str, *, scored: bool) -> Html:
    """Return one answer of the case up close."""
    done = row.state == "answered"
    content = answer(row.text, CLOSE_LIMIT, whole) if done else failure(row)
    return line(
        cell(name_block(each),
             chip("simulated") if each.simulated else "", name="th", scope="row",
             style="padding:4px 12px 4px 0;width:22%"),
        *([cell(points(row.score), style="text-align:right;padding:4px 12px 4px 0")]
          if scored else []),
        cell(content, style="padding:4px 0"),
    )  # fmt: skip
