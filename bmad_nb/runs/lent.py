"""What a workspace lends to a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bmad_nb.budget import Budget
from bmad_nb.llms.catalog import Catalog
from bmad_nb.settings import EngineSettings
from bmad_nb.store.journal import Store


@dataclass(frozen=True, slots=True)
class Lent:
    """What a workspace lends to a run."""

    store: Store
    catalog: Catalog
    settings: EngineSettings
    budgets: Mapping[bool, Budget]
    """Budgets over this run's own, by whether the money is simulated."""
    waits: bool = False
    """Whether somebody may answer a question while a run goes on."""
    watched: bool = False
    """Whether somebody sees answers as they come."""
