"""What every test of the store has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bmad_nb.store.journal import Store


@pytest.fixture
def store(project: Path) -> Iterator[Store]:
    """Give a store that nothing was written to."""
    made = Store(project / ".bmad" / "bmad.db")
    yield made
    made.close()
