"""The laboratory: ways to use several LLMs, tried on recorded answers. It says how sure it is."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_HOME = {
    "Advice": "bmad_nb.lab.tables",
    "Experiment": "bmad_nb.lab.experimenting",
    "Recording": "bmad_nb.lab.recording",
    "cascade": "bmad_nb.lab.escalating",
    "consensus": "bmad_nb.lab.agreeing",
    "explain": "bmad_nb.lab.explaining",
    "policy_value": "bmad_nb.lab.estimating",
    "Replay": "bmad_nb.lab.replayed",
    "experiment": "bmad_nb.lab.experimenting",
    "fetch": "bmad_nb.lab.fetching",
    "read": "bmad_nb.lab.importing",
    "record": "bmad_nb.lab.recording",
    "record_of": "bmad_nb.lab.recording",
    "replay": "bmad_nb.lab.replaying",
    "stream": "bmad_nb.lab.streaming",
}
"""pandas is imported where one of them is used."""

__all__ = [
    "Advice", "Experiment", "Recording", "Replay", "cascade", "consensus", "experiment", "explain",
    "fetch", "policy_value", "read", "record", "record_of", "replay", "stream",
]  # fmt: skip

if TYPE_CHECKING:
    from bmad_nb.lab.agreeing import consensus
    from bmad_nb.lab.escalating import cascade
    from bmad_nb.lab.estimating import policy_value
    from bmad_nb.lab.experimenting import Experiment, experiment
    from bmad_nb.lab.explaining import explain
    from bmad_nb.lab.fetching import fetch
    from bmad_nb.lab.importing import read
    from bmad_nb.lab.recording import Recording, record, record_of
    from bmad_nb.lab.replayed import Replay
    from bmad_nb.lab.replaying import replay
    from bmad_nb.lab.streaming import stream
    from bmad_nb.lab.tables import Advice


def __getattr__(name: str) -> Any:
    """Import a name when it is first used."""
    if name not in _HOME:
        raise AttributeError(f"module 'bmad_nb.lab' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
