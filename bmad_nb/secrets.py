"""Keys: held so that they cannot be printed, and taken out of every text that is kept or shown."""

from __future__ import annotations

import base64
import os
import re
import threading
import urllib.parse
from typing import NoReturn

from bmad_nb.errors import SettingsError

_REFERENCE = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)")
_known: set[str] = set()
_known_lock = threading.Lock()


class Secret:
    """A key that shows as `***` wherever it is printed, formatted, copied or serialised."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        """Keep the value and tell the redactor about it."""
        self._value = value
        if len(value) >= 6:  # a shorter "key" would blank out ordinary words
            with _known_lock:
                _known.update(_spellings(value))

    def reveal(self) -> str:
        """Return the key itself; only the code that sets a request's header calls this."""
        return self._value

    def __repr__(self) -> str:
        """Return stars."""
        return "***"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        """Return stars, whatever the format."""
        return "***"

    def __reduce__(self) -> NoReturn:
        """Refuse to be serialised or copied into another process."""
        message = "A Secret is not serialised; pass its reference (env:NAME) instead."
        raise TypeError(message)


def _spellings(value: str) -> set[str]:
    raw = value.encode()
    return {
        value,
        urllib.parse.quote(value, safe=""),
        base64.b64encode(raw).decode().rstrip("="),
        base64.urlsafe_b64encode(raw).decode().rstrip("="),
    }


def env_name(reference: str) -> str:
    """Return the variable's name out of `env:NAME`.

    Raises:
        SettingsError: it is not a reference; it is not repeated, for it may be a key.
    """
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise SettingsError(
            "An api_key must be a reference, not a key.",
            hint='Write api_key = "env:NAME" and put the key into the environment variable NAME.',
        )
    return match.group(1)


def resolve(reference: str) -> Secret | None:
    """Return the secret behind `env:NAME`, or None if that variable is unset or empty."""
    value = os.environ.get(env_name(reference), "").strip()
    return Secret(value) if value else None


def redact(text: str) -> str:
    """Return `text` with every key that this process has loaded replaced by `***`."""
    with _known_lock:
        spellings = sorted(_known, key=len, reverse=True)
    for spelling in spellings:
        if spelling in text:
            text = text.replace(spelling, "***")
    return text
