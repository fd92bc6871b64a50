"""What a sweep gives back: frame, page, picture, JSON, and the code that a command ends with."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bmad_nb import charts, frames
from bmad_nb.columns import SWEEP
from bmad_nb.sweeps.outcome import Sweep, row_of


def row(number: int, status: str = "completed", **facts: Any) -> dict[str, Any]:
    """Return the row of a notebook with some of its facts."""
    parameters = facts.pop("parameters", {"topic": f"t{number}", "n": number})
    error = {"error_kind": "ValueError", "error": "<b>no</b>"} if status == "failed" else {}
    made = row_of(number, parameters, status, {"duration_s": 1.5, **error, "facts": facts})
    return made | {"file": f"t{number}.ipynb", "path": f"s/t{number}.ipynb"}


def scored(number: int, score: float, cost: float, *, simulated: bool = False) -> dict[str, Any]:
    """Return the row of a notebook with one scored answer."""
    kind = "original_simulated_cost_usd" if simulated else "original_cost_usd"
    return row(number, score=score, scored=1, simulated=simulated, runs=1, calls=1, **{kind: cost})


def test_the_frame_has_parameters_and_all_columns() -> None:
    """Parameters stand behind the number; one that is called like a column gets another name."""
    rows = [row(1, parameters={"topic": "a", "status": 3, "deep": [1, {"x": 2}]}),
            row(2, parameters={"topic": "b"})]  # fmt: skip
    frame = frames.sweep(rows)
    names = [column.name for column in SWEEP]
    assert ["number", "topic", "status_parameter", "deep", *names[1:]] == list(frame.columns)
    assert ["a", "b"] == frame["topic"].tolist()
    assert '[1, {"x": 2}]' == frame["deep"][0]
    assert frame["deep"].isna().tolist() == [False, True]
    assert "USD" == frame.attrs["units"]["cost_usd"]
    assert 0 == len(frames.sweep([]))


@pytest.mark.parametrize(
    ("ends", "expected"),
    [(("completed",), 0), (("completed", "failed", "paused"), 1), (("completed", "paused"), 4),
     (("waiting",), 4)],
)  # fmt: skip
def test_a_command_ends_with_what_became_of_its_notebooks(
    ends: tuple[str, ...], expected: int
) -> None:
    """0 where all are completed, 1 where one failed, 4 where a limit or a person stopped them."""
    rows = [row(n, end) for n, end in enumerate(ends, 1)]
    assert expected == Sweep("n.ipynb", Path("s"), rows).ends_with()


def test_the_page_links_to_its_notebooks_and_nothing_else() -> None:
    """Links are names of files beside it; errors are text; nothing runs and nothing is fetched."""
    rows = [scored(1, 0.5, 0.1), scored(2, 0.75, 0.2), row(3, "failed")]
    page = Sweep("<i>n</i>.ipynb", Path("s"), rows).page()
    assert ["t1.ipynb", "t2.ipynb", "t3.ipynb"] == re.findall(r'href="([^"]*)"', page)
    assert "ValueError: &lt;b&gt;no&lt;/b&gt;" in page
    assert "<i>" not in page
    assert "<svg" in page
    assert "default-src 'none'" in page
    assert "<script" not in page


def test_the_picture_shows_quality_against_cost() -> None:
    """A mark per notebook; invented ones are hollow and outside of the line; failed ones are told."""
    rows = [
        scored(1, 0.5, 0.1),
        scored(2, 0.75, 0.2),
        scored(3, 0.9, 0.01, simulated=True),
        row(4, "failed"),
    ]
    text = repr(charts.sweep(frames.sweep(rows)))
    assert "Quality against cost, 4 notebooks" in text
    assert "t2, 2" in text
    assert "$0.20" in text
    assert "Hollow marks are simulated" in text
    assert "Only in the table" in text
    alone = repr(charts.sweep(frames.sweep([scored(1, 0.5, 0.1, simulated=True)])))
    assert "1 notebook, simulated" in alone
    assert "nothing was scored" in repr(charts.sweep(frames.sweep([row(1)])))
    many = charts.sweep(frames.sweep([scored(n, 0.5, n / 10) for n in range(1, 20)]))
    assert "#7" in repr(many)


def test_json_has_all_of_it() -> None:
    """Rows, sums, the limit and what is spent; money is never a sum of real and invented."""
    rows = [row(1, cost_usd=0.5, runs=1), row(2, simulated_cost_usd=2.0, simulated=True, runs=1)]
    made = Sweep("n.ipynb", Path("s"), rows, limit_usd=Decimal(3),
                 spent_usd={False: Decimal("0.5"), True: Decimal(2)})  # fmt: skip
    found = json.loads(json.dumps(made.to_json()))
    assert (0.5, 2.0, "3", "0.5") == tuple(
        found[name] for name in ("cost_usd", "simulated_cost_usd", "budget_usd", "spent_usd")
    )
    assert 2 == found["completed"] == len(found["notebooks"])
    assert {column.name for column in SWEEP} < found["notebooks"][0].keys()
    said = repr(made)
    assert "2 completed · $0.50 and $2.00 simulated" in said
    assert "$0.50 of $3.00 is spent, and $2.00 of as much simulated money" in said
    assert "Some of these have answers, prices and scores of simulated LLMs." in said
