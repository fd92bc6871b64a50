"""The pieces that all cards share: names, chips, cost and latency in words, folded sections."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from decimal import Decimal

from bmad_nb.events import CallRow
from bmad_nb.render.base import (
    ACCENT,
    BAD,
    CARD,
    DIM,
    GREY,
    LABEL,
    LINE,
    MONO,
    NO_MATH,
    NONE,
    PRE,
    SOFT,
    TABLE,
    TRACK,
    WARN,
    ComparisonView,
    Html,
    counted,
    cut,
    joined,
    markup,
    seconds,
    tag,
    tokens,
    usd,
)
from bmad_nb.render.columns import Column, made_for, made_in

PROMPT_LIMIT = 6000
"""Bytes of a prompt that are shown."""
TALL = 900
"""Characters of an answer from which on it scrolls."""

_CELL = "text-align:left;vertical-align:top;line-height:1.45;"
_CODE = f"{MONO};font-size:12px;background:{SOFT};border-radius:4px;padding:1px 5px"


def cell(*content: str, style: str = "padding:5px 10px", name: str = "td", **attrs: str) -> Html:
    """Return a table cell that JupyterLab's own table rules do not change."""
    weight = "font-weight:400;" if name == "th" else ""
    return tag(name, *content, style=f"{_CELL}{weight}{style}", **attrs)


def line(*cells: str, style: str = "") -> Html:
    """Return a table row without the stripes of JupyterLab."""
    return tag("tr", *cells, style=style or "background:transparent")


def table(*parts: str, style: str = "") -> Html:
    """Return a table as wide as its card."""
    return tag("table", *parts, style=TABLE + (f";{style}" if style else ""))


def chip(text: str, colour: str = GREY, *, strong: bool = False) -> Html:
    """Return a word in a pill; colour only frames it."""
    style = (
        f"display:inline-block;border:1px solid {colour if strong else colour + '99'};"
        "border-radius:9px;padding:0 7px;font-size:11px;line-height:16px;white-space:nowrap;"
        f"font-weight:{600 if strong else 400};background:{colour}1f"
    )
    return tag("span", text, style=style)


def code(text: str) -> Html:
    """Return a command that can be copied."""
    return tag("code", text, style=_CODE)


def dim(text: str, style: str = "font-size:12px;opacity:0.72") -> Html:
    """Return an aside."""
    return tag("span", text, style=style)


def bar(share: float, colour: str = GREY) -> Html:
    """Return a thin bar; the number stands beside it."""
    width = 100 * min(1.0, max(0.0, share))
    inner = tag("div", style=f"height:3px;width:{width:.1f}%;background:{colour};border-radius:2px")
    outer = f"height:3px;width:88px;background:{TRACK};border-radius:2px;margin:3px 0 0 0"
    return tag("div", inner, style=outer)


def llm_name(llm: str) -> Html:
    """Return an LLM's id with its endpoint dimmed."""
    endpoint, slash, model = llm.rpartition("/")
    return markup(
        tag("span", endpoint + slash, style="opacity:0.66") if slash else "",
        # a block of its own, so that a line ends at the slash before it ends in a word
        tag("span", model, style="display:inline-block;max-width:100%;font-weight:600;"
            "overflow-wrap:anywhere"),
    )  # fmt: skip


def setting(column: Column) -> str:
    """Return a column's setting and sample in words; empty for a plain one."""
    parts = [column.variant] if column.variant else []
    if column.samples > 1:
        parts.append(f"sample {column.sample + 1} of {column.samples}")
    return " · ".join(parts)


def name_block(column: Column, *, stacked: bool = False) -> Html:
    """Return an LLM's id over its setting.

    Args:
        column: the LLM.
        stacked: whether the endpoint stands on a line of its own, for narrow columns.
    """
    words = setting(column)
    endpoint, _, model = column.llm.rpartition("/")
    wrap = "white-space:nowrap" if len(model) <= 24 else "overflow-wrap:anywhere;min-width:150px"
    two = markup(
        tag("div", endpoint, style="opacity:0.72;overflow-wrap:anywhere") if endpoint else "",
        tag("div", model, style=f"font-weight:600;{wrap}"),
    )
    return markup(
        two if stacked else tag("div", llm_name(column.llm), style="overflow-wrap:anywhere"),
        tag("div", words, style=f"{LABEL};overflow-wrap:anywhere") if words else "",
    )


def origin_chips(column: Column) -> list[Html]:
    """Return the chips that say where an LLM's answers come from."""
    chips = []
    if column.simulated:
        chips.append(chip("simulated"))
    if column.runs_here:
        chips.append(chip("runs here"))
    if column.rows and all(row.from_store for row in column.rows):
        chips.append(chip("from the store"))
    short = sum(row.finish_reason == "length" for row in column.answered)
    if short:
        of = f" ({short} of {len(column.rows)})" if len(column.rows) > 1 else ""
        chips.append(chip(f"! cut at {tokens(column.rows[0].max_tokens)} tokens{of}", WARN))
    return chips


def state_chip(row: CallRow) -> Html:
    """Return the chip of a call that did not end in an answer."""
    if row.state == "in_flight":
        return chip("● running", ACCENT)
    glyph = {"cancelled": "◐ cancelled", "lost": "✕ lost"}.get(row.state, "✕ failed")
    return chip(glyph, BAD if row.state != "cancelled" else WARN, strong=True)


def cost_words(row: CallRow) -> tuple[str, str]:
    """Return a call's cost and what is to be said about it."""
    if row.state != "answered":
        return _bill_words(row)
    sort = "simulated price" if row.simulated else "own machine" if row.runs_here else ""
    if row.from_store:
        was = usd(made_for(row))
        note = "stored, price unknown" if was == "price unknown" else f"stored, was {was}"
        return usd(row.cost_usd or Decimal(0)), f"{note}, {sort}" if sort else note
    if row.cost_usd is None:
        return "price unknown", sort
    if not sort and row.price_as_of:
        sort = f"price of {row.price_as_of}"
    return usd(row.cost_usd), sort


def _bill_words(row: CallRow) -> tuple[str, str]:
    """Return what a call without an answer cost."""
    sort = ", simulated" if row.simulated else ""
    if row.billed == "no":
        return "$0", f"nothing was billed{sort}"
    if row.cost_usd is not None:
        said = "was billed" if row.billed == "yes" else "may have been billed"
        return usd(row.cost_usd), f"{said}{sort}"
    most = f", at most {usd(row.reserved_usd)}" if row.reserved_usd is not None else ""
    said = "was billed, amount unknown" if row.billed == "yes" else "may have been billed"
    return NONE, f"{said}{most}{sort}"


def latency_words(row: CallRow) -> tuple[str, str]:
    """Return a call's latency and what is to be said about it."""
    sort = "simulated" if row.simulated else ""
    if row.from_store:
        took = f"stored, was {seconds(made_in(row))}"
        return seconds(row.latency_s or 0.0), f"{took}, {sort}" if sort else took
    if row.state != "answered" and row.latency_s is not None:
        return seconds(row.latency_s), f"until given up{', simulated' if sort else ''}"
    return seconds(row.latency_s), sort if row.latency_s is not None else ""


def token_words(row: CallRow) -> tuple[str, str]:
    """Return a call's tokens and how the answer ended if it did not end by itself."""
    if row.input_tokens is None and row.output_tokens is None:
        text = NONE
    else:
        text = f"{tokens(row.input_tokens)} in, {tokens(row.output_tokens)} out"
    extra = []
    if row.cached_input_tokens:
        extra.append(f"{tokens(row.cached_input_tokens)} cached")
    if row.reasoning_tokens:
        extra.append(f"{tokens(row.reasoning_tokens)} reasoning")
    if row.finish_reason == "length":
        extra.append(f"cut at {tokens(row.max_tokens)} tokens")
    elif row.finish_reason not in ("", "stop"):
        extra.append(f"ended by {row.finish_reason[:80]}")
    return text, ", ".join(extra)


def failure(row: CallRow) -> Html:
    """Return the cell of a call without an answer: class, cause, advice."""
    said = {
        "cancelled": "It was broken off before an answer came.",
        "lost": "Its process ended before the answer came.",
        "in_flight": "No answer yet.",
    }.get(row.state, "")
    kind = row.error_kind or row.state.replace("_", " ")
    advice = tag(
        "div", dim("What to do", "opacity:0.72"), tag("div", cut(row.error_hint, 800)),
        style=f"font-size:12px;line-height:1.45;margin:10px 0 0 0;{PRE}",
    ) if row.error_hint else ""  # fmt: skip
    return markup(
        tag("div", kind, style="font-weight:600;overflow-wrap:anywhere"),
        tag("div", cut(row.error, 1200) or said, style=f"margin:4px 0 0 0;{PRE}", dir="auto"),
        advice,
    )


def answer(text: str | None, limit: int, whole: str, *, scroll: bool = True) -> Html:
    """Return an answer, cut with a note where it is long.

    Args:
        text: the answer.
        limit: bytes that are shown.
        whole: the expression that gives all of it.
        scroll: whether a long answer scrolls in a box of its own.
    """
    if not (text or "").strip():
        return tag("div", "(empty answer)", style="opacity:0.72")
    full = text or ""
    shown = cut(full, limit)
    # A long answer scrolls in its place, so that the measures below stay in sight.
    style = f"{PRE};max-height:420px;overflow:auto" if scroll and len(shown) > TALL else PRE
    body = tag("div", shown, style=style, dir="auto")
    return markup(body, cut_note(len(shown), len(full), whole))


def answers_of(view: ComparisonView, row: CallRow) -> str:
    """Return the expression that gives the whole answer of a call."""
    key = json.dumps(row.label, ensure_ascii=False)
    if row.case:
        key = f"{json.dumps(row.case, ensure_ascii=False)}, {key}"
    return f"{view.name}.answers[{key}].text"


def cut_note(shown: int, total: int, whole: str) -> Html:
    """Return how much is shown and how to get all of it; nothing where all is shown."""
    if shown == total:
        return Html("")
    said = f"… the first {shown:,} of {total:,} characters; all of it: "
    return tag("div", said, code(whole), style=f"{DIM};margin:4px 0 0 0")


def card(name: str, *parts: str) -> Html:
    """Return the frame of a card."""
    return tag("section", *parts, style=CARD, **{"aria-label": name, "class": NO_MATH})


def header(left: str, right: str, sentence: str, weak: Sequence[str]) -> Html:
    """Return the head of a card: what ran, the verdict, and what weakens it."""
    small = tag("div", tag("span", right, style="float:right;margin-left:12px"), left,
                style=f"{LABEL};margin:0 0 6px 0")  # fmt: skip
    verdict = tag("p", sentence, style="font-size:15px;line-height:1.4;font-weight:600;margin:0;"
                  "text-align:left;overflow-wrap:anywhere", dir="auto")  # fmt: skip
    said = tag("p", " ".join(weak), style=f"{DIM};margin:4px 0 0 0;text-align:left;"
               "max-width:860px;overflow-wrap:anywhere", dir="auto") if weak else ""  # fmt: skip
    return tag(
        "header", small, verdict, said, style=f"padding:14px 20px;border-bottom:1px solid {LINE}"
    )


def fold(
    title: str, *content: str, aside: str = "", is_open: bool = False, edge: str = "20px"
) -> Html:
    """Return a section that can be opened, `edge` away from what surrounds it."""
    top = tag("summary", title, " " if aside else "", dim(aside, "opacity:0.72") if aside else "",
              style=f"font-size:12px;line-height:1.45;padding:8px {edge};cursor:pointer;"
              "overflow-wrap:anywhere")  # fmt: skip
    body = tag("div", *content, style=f"padding:0 {edge} 14px {edge}")
    attrs = {"open": "open"} if is_open else {}
    return tag("details", top, body, style=f"border-top:1px solid {LINE};margin:0", **attrs)


def prompt(row: CallRow, title: str = "Prompt as sent", edge: str = "20px") -> Html:
    """Return the messages as sent, folded."""
    parts: list[Html] = []
    for message in row.messages:
        if len(row.messages) > 1:
            parts.append(tag("div", message.role, style=f"{LABEL};margin:6px 0 2px 0"))
        shown = cut(message.text, PROMPT_LIMIT)
        style = (
            f"{MONO};font-size:12px;line-height:1.55;{PRE};margin:0;background:{SOFT};"
            "border-radius:6px;padding:10px 12px"
        )
        parts.append(tag("pre", shown, style=style, dir="auto"))
        if len(shown) < len(message.text):
            left = f"… the first {len(shown):,} of {len(message.text):,} characters"
            parts.append(tag("div", left, style=DIM))
    aside = counted(row.input_tokens, "token") if row.input_tokens is not None else ""
    return fold(title, *parts, aside=aside, edge=edge) if parts else Html("")


def facts(pairs: Iterable[tuple[str, str]]) -> Html:
    """Return names and values in two columns."""
    lines = [
        line(
            cell(name, name="th", scope="row",
                 style="font-size:11px;opacity:0.72;white-space:nowrap;padding:2px 16px 2px 0"),
            cell(value, style="padding:2px 0;width:100%;font-size:12px;overflow-wrap:anywhere"),
        )
        for name, value in pairs
    ]  # fmt: skip
    return table(tag("tbody", *lines))


def _price_words(row: CallRow) -> str:
    """Return where a price comes from and of which day it is."""
    return " of ".join(each for each in (row.price_source, row.price_as_of) if each) or "unknown"


def provenance(view: ComparisonView, columns: Sequence[Column]) -> Html:
    """Return where the numbers come from, folded."""
    first = [each.rows[0] for each in columns]
    started = min((row.started_utc for row in view.rows if row.started_utc), default="")
    scorers = ", ".join(dict.fromkeys(row.scorer for row in view.rows if row.scorer))
    limits = ", ".join(dict.fromkeys(tokens(row.max_tokens) for row in view.rows))
    settings = "; ".join(dict.fromkeys(f"{c.llm}: {c.variant}" for c in columns if c.variant))
    prices = dict.fromkeys(f"{row.llm}: {_price_words(row)}" for row in first)
    hashes = [
        markup(f"{each.label} ", tag("span", f"{row.request_key[:12]}", style=MONO))
        for each, row in zip(columns, first, strict=True)
        if row.request_key
    ]
    calls = f"{view.run_id} · {counted(len(view.rows), 'call')}"
    pairs = [("Run", f"{calls} · {started[:19]} UTC" if started else calls)]
    if scorers:
        pairs.append(("Scorer", scorers))
    pairs.append(("Sampling", f"{settings or 'as the LLM has it'}; max_tokens {limits}"))
    pairs.append(("Prices", "; ".join(prices)))
    one = len({row.case for row in view.rows}) == 1
    if hashes and one:
        pairs.append(("Request hash", markup("sha256 ", joined(hashes, ", "))))
    if view.budget_usd is not None:
        pairs.append(("Budget", usd(view.budget_usd)))
    return fold("Provenance", facts(pairs), aside="run, sampling, prices")


def footer(view: ComparisonView) -> Html:
    """Return the commands that come next."""
    if not view.next_steps:
        return Html("")
    steps = joined((code(each) for each in view.next_steps), " \u00a0")
    return tag("footer", dim("Next", "opacity:0.72"), " \u00a0", steps,
               style=f"border-top:1px solid {LINE};padding:9px 20px;font-size:12px;"
               "line-height:1.9;overflow-wrap:anywhere")  # fmt: skip
