"""Charts: plotly figures that also carry a static twin."""

from bmad_nb.charts.base import Chart
from bmad_nb.charts.over_time import timeline
from bmad_nb.charts.quality import frontier

__all__ = ["Chart", "frontier", "timeline"]
