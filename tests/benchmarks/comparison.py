"""Bytes and seconds of a comparison of 500 cases and 4 LLMs: saved output, card, explorer.

Run: python tests/benchmarks/comparison.py [PICTURE]. Saved are at most 1 MB, of one prompt and 4
LLMs at most 100 kB; the first paint of the card and of the explorer take at most 1 s in Chromium
(the median of 5 pages; needs playwright). Results go to tests/benchmarks/results/comparison.json.
"""

from __future__ import annotations

import json
import os
import platform
import random
import statistics
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

from bmad_nb import _assets
from bmad_nb.events import CallRow, RunRow
from bmad_nb.messages import Message
from bmad_nb.results import Comparison
from bmad_nb.widgets.compare import board_of, scores_of

LLMS = ("a/small", "b/medium", "c/large", "sim/careful")
WORDS = [
    "the",
    "canal",
    "is",
    "closed",
    "and",
    "a",
    "dredger",
    "stuck",
    "since",
    "noon",
    "so",
    "ships",
    "wait",
    "while",
    "captains",
    "ask",
]
ROUNDS = 5
TARGETS = {
    "saved_bytes": 1_000_000, "saved_bytes_of_one_prompt": 100_000, "card_paint_s": 1.0,
    "explorer_paint_s": 1.0, "bundle_s": 1.0,
}  # fmt: skip
PAGE = """<!doctype html><meta charset=utf-8><style>%s</style><body style="margin:20px"><div id=at></div>
<script type=module>
const url = URL.createObjectURL(new Blob([%s], {type: "text/javascript"}));
const widget = (await import(url)).default;
const values = %s;
const model = {get: (k) => values[k], set: (k, v) => { values[k] = v; }, save_changes() {}, send() {}, on() {}, off() {}};
const began = performance.now();
widget.render({model, el: document.getElementById("at")});
requestAnimationFrame(() => requestAnimationFrame(() => { window.took = performance.now() - began; }));
window.filter = () => new Promise((done) => {
  const box = document.querySelector("input[type=search]");
  const from = performance.now();
  box.value = "captains ask";
  box.dispatchEvent(new Event("input"));
  requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - from)));
});
</script>"""


def comparison(cases: int, words: int) -> Comparison:
    """Return a comparison of invented rows, half of them scored 1."""
    chance = random.Random(7)
    rows = [
        CallRow(
            call_id=f"1a2b3c4d-{case}-{llm}", run_id="1a2b3c4d", llm=llm, model=llm,
            request_key=f"{case:032x}{hash(llm) & 0xFFFF:032x}", state="answered",
            case=str(case) if cases > 1 else "", messages=(Message("user", f"Case {case}: why?"),),
            max_tokens=500, text=" ".join(chance.choices(WORDS, k=words)), finish_reason="stop",
            score=float(chance.random() < 0.3 + 0.1 * at), scorer="exact", reference="noon",
            input_tokens=212, output_tokens=words, cost_usd=Decimal("0.00017"), latency_s=1.25,
            price_source="list", billed="yes", simulated=llm.startswith("sim/"),
            started_utc="2026-01-31T12:00:00+00:00", ended_utc="2026-01-31T12:00:01+00:00",
        )
        for case in range(cases)
        for at, llm in enumerate(LLMS)
    ]  # fmt: skip
    return Comparison(RunRow("1a2b3c4d", "compare", "completed"), rows)


def measured() -> dict[str, Any]:
    """Return sizes and the time of the bundle."""
    large, small = comparison(500, 60), comparison(1, 120)
    began = time.perf_counter()
    bundle = large._repr_mimebundle_()
    took = time.perf_counter() - began
    return {
        "saved_bytes": len(json.dumps(bundle).encode()),
        "saved_bytes_of_one_prompt": len(json.dumps(small._repr_mimebundle_()).encode()),
        "bundle_s": round(took, 3),
        **painted(large, bundle["text/html"]),
    }


def painted(large: Comparison, card: str) -> dict[str, float]:
    """Return the seconds of first paints in Chromium, and of one filter over all cases."""
    from playwright.sync_api import sync_playwright

    values = {"board": board_of(large.rows), "scores": scores_of(large.rows),
              "baseline": LLMS[0], "by": ""}  # fmt: skip
    page = PAGE % (_assets.css("compare"), json.dumps(_assets.esm("compare")), json.dumps(values))
    found: dict[str, list[float]] = {"card_paint_s": [], "explorer_paint_s": [], "filter_s": []}
    with sync_playwright() as play, tempfile.TemporaryDirectory() as folder:
        browser = play.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium")
        )
        for _ in range(ROUNDS):
            file = Path(folder, "card.html")
            file.write_text(f"<!doctype html><meta charset=utf-8>{card}", "utf-8")
            view = browser.new_page()
            view.goto(file.as_uri())
            paint = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
            view.wait_for_function(paint)
            found["card_paint_s"].append(view.evaluate(paint) / 1000)
            file.write_text(page.replace("</script>", "</script>", 1), "utf-8")
            view.goto(file.as_uri())
            view.wait_for_function("window.took")
            found["explorer_paint_s"].append(view.evaluate("window.took") / 1000)
            found["filter_s"].append(view.evaluate("window.filter()") / 1000)
            if len(sys.argv) > 1:
                view.set_viewport_size({"width": 1000, "height": 900})
                view.screenshot(path=sys.argv[1], full_page=True)
            view.close()
        browser.close()
    return {name: round(statistics.median(each), 3) for name, each in found.items()}


def main() -> None:
    """Measure, write the results down, and fail where a target is missed."""
    rows = measured()
    missed = [name for name, most in TARGETS.items() if rows[name] > most]
    body = {"python": platform.python_version(), "cases": 500, "llms": len(LLMS), **rows,
            "targets": TARGETS, "missed": missed}  # fmt: skip
    target = Path(__file__).parent / "results" / "comparison.json"
    target.write_text(json.dumps(body, indent=2) + "\n")
    print(json.dumps(body, indent=2))
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
