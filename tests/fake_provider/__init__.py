"""The project's own LLM server on loopback: planted skills, times, prices, faults, and counters.

Start `FakeProvider(config)` or `FakeProviderProcess(config)` in a `with`, point an endpoint at its
`base_url("anthropic")`, and read what arrived from `counts()`. It speaks four formats on one port,
plain and streaming: `openai` (at `url` too), `anthropic`, `gemini` and `ollama`.

`kinds` describes each fault, `config.ModelConfig` each key of a model.
"""

from tests.fake_provider.config import FAULTS
from tests.fake_provider.handles import FakeProvider, FakeProviderProcess

__all__ = ["FAULTS", "FakeProvider", "FakeProviderProcess"]
