"""Which family an LLM is of: those of one family err alike, and like each other's words."""

from __future__ import annotations

import re

_KIN = {
    "o": "gpt", "chatgpt": "gpt", "davinci": "gpt", "text": "gpt", "codellama": "llama",
    "mixtral": "mistral", "codestral": "mistral", "ministral": "mistral", "magistral": "mistral",
    "pixtral": "mistral", "gemma": "gemini", "qwq": "qwen",
}  # fmt: skip
_MAKERS = ("meta", "google", "anthropic", "openai", "mistralai", "qwen")


def family_of(llm: str) -> str:
    """Return the family of an LLM by its id: the first word of its name that is no maker's.

    >>> [family_of(x) for x in ("openai/gpt-4o-mini", "my/Meta-Llama-3.1-8B", "x/o1-mini")]
    ['gpt', 'llama', 'gpt']
    """
    name = llm.partition("?")[0].rpartition("/")[2].lower()
    words = [word for word in re.findall(r"[a-z]+", name) if len(word) > 1 or word == "o"]
    first = next((word for word in words if word not in _MAKERS), words[0] if words else name)
    return _KIN.get(first, first)
