"""From an endpoint's settings to its LLMs; nothing is contacted."""

from __future__ import annotations

import urllib.parse

from bmad_nb.llms.base import Card, Pace
from bmad_nb.llms.bodies import Deadlines
from bmad_nb.llms.endpoint import Endpoint
from bmad_nb.llms.http import HttpLLM
from bmad_nb.llms.urls import check_base_url, is_loopback
from bmad_nb.llms.wires.anthropic import AnthropicWire
from bmad_nb.llms.wires.base import Wire
from bmad_nb.llms.wires.gemini import GeminiWire
from bmad_nb.llms.wires.ollama import OllamaWire
from bmad_nb.llms.wires.openai import OpenAIWire
from bmad_nb.messages import FREE
from bmad_nb.secrets import resolve, why_missing
from bmad_nb.settings import EndpointSettings, LLMSettings


def wire_of(settings: EndpointSettings) -> Wire:
    """Return the wire format that an endpoint speaks."""
    match settings.kind:
        case "anthropic":
            return AnthropicWire()
        case "gemini":
            return GeminiWire()
        case "ollama":
            return OllamaWire()
        case _:
            return OpenAIWire(settings.max_tokens_field, settings.structured)


class Hosted:
    """One endpoint of the settings, and all of its LLMs.

    Args:
        name: of the endpoint.
        settings: what the settings say of it.
        timeout_s: most seconds for a call, where the endpoint has no number of its own.

    Raises:
        SettingsError: its address cannot be used.
    """

    def __init__(self, name: str, settings: EndpointSettings, timeout_s: float) -> None:
        """Look for the key; a missing one is no error before somebody asks."""
        url = check_base_url(settings.base_url, allow_http=settings.allow_http)
        key = resolve(settings.api_key) if settings.api_key else None
        self.missing = self.remedy = ""
        if settings.api_key and key is None:
            self.missing, remedy = why_missing(settings.api_key)
            self.remedy = f"{remedy}; local/smollm2-135m and sim/careful work without a key."
        self._settings = settings
        self._is_here = is_loopback(urllib.parse.urlsplit(url).hostname or "")
        deadlines = Deadlines(
            timeout_s, settings.connect_s, settings.first_byte_s, min(settings.idle_s, timeout_s)
        )
        self.endpoint = Endpoint(
            name, url, wire_of(settings), key, deadlines=deadlines, stream=settings.stream
        )

    def llm(self, model: str, facts: LLMSettings | None) -> HttpLLM:
        """Return one of its LLMs.

        Args:
            model: its name there.
            facts: what the settings say of it.
        """
        settings = self._settings
        # Ollama passes models whose names end so on to its maker's machines
        here = settings.kind == "ollama" and self._is_here and not model.endswith("cloud")
        card = Card(
            id=f"{self.endpoint.name}/{model}",
            identity=self.endpoint.base_url,
            model=model,
            context_tokens=facts.context_tokens if facts else None,
            default_max_tokens=(facts.max_tokens if facts else None) or 1024,
            capabilities=tuple(sorted(facts.capabilities.items())) if facts else (),
            pace=Pace(settings.rpm, settings.tpm, settings.max_in_flight),
            price=FREE if here else None,
            runs_here=here,
            missing=self.missing,
            remedy=self.remedy,
        )
        return HttpLLM(card, self.endpoint)
