"""The project's own LLM server on loopback: planted skills, times, prices, faults, and counters.

Start `FakeProvider(config)` or `FakeProviderProcess(config)` in a `with`, point an endpoint at its
`url`, and read what arrived from `counts()`.
"""

from tests.fake_provider.config import FAULTS
from tests.fake_provider.handles import FakeProvider, FakeProviderProcess

__all__ = ["FAULTS", "FakeProvider", "FakeProviderProcess"]
