"""Charts: plotly figures that also carry a static twin."""

from bmad_nb.charts import contrasts
from bmad_nb.charts.base import Chart
from bmad_nb.charts.contrasts import agreement, cost, latency, scores
from bmad_nb.charts.over_time import timeline
from bmad_nb.charts.quality import frontier
from bmad_nb.charts.routing import calibration, routing, share
from bmad_nb.charts.sweeps import sweep
from bmad_nb.charts.tradeoffs import prices, regret, spent

KINDS = {"frontier": frontier, **contrasts.KINDS}
"""Charts of answers by name."""

__all__ = [
    "KINDS", "Chart", "agreement", "calibration", "cost", "frontier", "latency", "prices",
    "regret", "routing", "scores", "share", "spent", "sweep", "timeline",
]  # fmt: skip
