"""The same payloads through blind rating, changes between runs, the status screen and charts."""

from __future__ import annotations

from decimal import Decimal

import pytest

from bmad_nb import charts
from bmad_nb.comparing import Changed
from bmad_nb.events import CallRow, RunRow
from bmad_nb.frames import calls
from bmad_nb.messages import Message
from bmad_nb.render.screen import LlmLine, RunLine, ScreenView, screen_html, screen_text
from bmad_nb.results import Comparison
from tests.render.test_injection import PAYLOADS, read


def rows(text: str) -> tuple[CallRow, ...]:
    """Return calls in which each text is the payload."""
    return tuple(
        CallRow(
            call_id=f"1-{n}", run_id="1", llm=f"{text}/{n}", request_key="k", state="answered",
            case=text, text=f"{text} {n}", messages=(Message("user", text),), score=n / 2,
            scorer=text, reference=text, cost_usd=Decimal("0.01"), latency_s=1.0,
        )
        for n in range(3)
    )  # fmt: skip


def pages(text: str) -> dict[str, dict[str, str]]:
    """Return the bundles of every display that shows the payload."""
    run, found = RunRow("1", "compare", "completed", title=text), rows(text)
    comparison = Comparison(run, found)
    before = [CallRow(**{**_fields(row), "text": f"{text} before", "score": 0.5}) for row in found]
    screen = ScreenView(
        "1", text, 1, (LlmLine(text, 1, True, text, text, None),), Decimal(0), Decimal(1), None,
        Decimal(0), (RunLine(text, text, text, "completed", text, text),), (text,),
    )  # fmt: skip
    shown = {
        "blind": comparison.blind()._repr_mimebundle_(),
        "changed": Changed(run, found, run, before)._repr_mimebundle_(),
        "screen": {"text/html": screen_html(screen), "text/plain": screen_text(screen)},
    }
    frame = calls(found)
    shown |= {name: chart(frame)._repr_mimebundle_() for name, chart in charts.KINDS.items()}
    return shown


def _fields(row: CallRow) -> dict[str, object]:
    return {name: getattr(row, name) for name in CallRow.__dataclass_fields__}


FEW = [*PAYLOADS[::20], *(text for text in PAYLOADS if not text.isprintable())][:20]
REST = [pytest.param(text, marks=pytest.mark.long) for text in PAYLOADS if text not in FEW]


@pytest.mark.parametrize("text", [*FEW, *REST], ids=lambda text: ascii(text)[:40])
def test_no_payload_becomes_markup(text: str) -> None:
    """Every tag and attribute of every display is one of ours, and no escape reaches a terminal."""
    for name, bundle in pages(text).items():
        wrong, _ = read(bundle["text/html"])
        assert [] == wrong, name
        assert "\x1b" not in bundle["text/plain"], name


def test_a_payload_that_was_not_escaped_is_found() -> None:
    """Planted: the payload itself has tags that are not ours."""
    assert [] != read(PAYLOADS[0])[0]
