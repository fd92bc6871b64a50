"""The charts of a `Replay`, by name: each a function of it and of a router."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from bmad_nb.errors import UsageProblem

if TYPE_CHECKING:
    import pandas as pd

    from bmad_nb.charts import Chart


def frontier(found: Any, router: str) -> Chart:
    """Return quality against cost of all routers and single LLMs, with intervals and the hull."""
    import pandas as pd

    from bmad_nb.charts.routing import routing

    del router
    known = found.outcomes
    frames = [
        pd.DataFrame(
            {"query_id": found.ids, "model": llm, "score": known.score[:, place],
             "cost_usd": known.cost_usd[:, place], "simulated": llm in found.simulated}
        )
        for place, llm in enumerate(found.llms)
    ]  # fmt: skip
    return routing(pd.concat(frames), found.routers, title=found.verdict, notes=found.table_notes)


def share(found: Any, router: str) -> Chart:
    """Return whom a router chose, a bar for each kind of task."""
    from bmad_nb.charts.routing import share as shares

    mine = _choices(found, router)
    mine = mine.assign(type=mine["type"].replace("", "kind unknown"))
    title = f"Whom {router} chose, by kind of task, {len(mine):,} queries"
    return shares(mine, "type", title=title)


def regret(found: Any, router: str) -> Chart:
    """Return what each router loses to the best choice for each query."""
    from bmad_nb.charts.tradeoffs import regret as lost

    del router
    return lost(found.frame, notes=found.table_notes)


def calibration(found: Any, router: str) -> Chart:
    """Return the scores of a router's choices against what it expected of them.

    Raises:
        UsageProblem: it expects nothing.
    """
    from bmad_nb.charts.routing import calibration as calibrated

    mine = _choices(found, router)
    if mine["expected"].isna().all():
        raise UsageProblem(
            f"The router {router} expects no score, so there is nothing to calibrate.",
            hint="Name one that does, such as learned, knn or linear.",
        )
    said = (f"Router: {router}.", *found.table_notes)
    return calibrated(mine["expected"].tolist(), mine["score"].tolist(), notes=said)


def cost(found: Any, router: str) -> Chart:
    """Return what each router cost, by the LLM whose answer counted.

    Raises:
        UsageProblem: no cost is known.
    """
    from bmad_nb.charts.tradeoffs import spent

    del router
    choices = found.choices
    if choices["cost_usd"].isna().all():
        raise UsageProblem(
            "No cost of these calls is known.", hint="Give the calls a column cost_usd."
        )
    return spent(choices)


def prices(found: Any, router: str) -> Chart:
    """Return what one quality would cost if the price of the best single LLM changed."""
    from bmad_nb.charts.tradeoffs import prices as priced

    del router
    return priced(found.prices(), notes=found.table_notes)


KINDS: Mapping[str, Callable[[Any, str], Chart]] = {
    "frontier": frontier, "share": share, "regret": regret, "calibration": calibration,
    "cost": cost, "prices": prices,
}  # fmt: skip
"""Charts by name."""


def _choices(found: Any, router: str) -> pd.DataFrame:
    choices: pd.DataFrame = found.choices
    return choices[choices["router"] == router]
