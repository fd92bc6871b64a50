"""Keys: held so that they cannot be printed, and taken out of every text that is kept or shown."""

from __future__ import annotations

import base64
import importlib
import os
import re
import threading
import urllib.parse
from typing import NamedTuple, NoReturn

from bmad_nb.errors import SettingsError

_ENV = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)")
_KEYRING = re.compile(r"keyring:([A-Za-z0-9._@ -]{1,100})/([A-Za-z0-9._@ -]{1,100})")
_NO_LIBRARY = "the keyring library is not installed"
_STANDARD_KEYS = frozenset(
    f"{who}_API_KEY"
    for who in (
        "ANTHROPIC", "AZURE_OPENAI", "COHERE", "DEEPSEEK", "GEMINI", "GOOGLE", "GROQ", "MISTRAL",
        "OPENAI", "OPENROUTER", "PERPLEXITY", "TOGETHER", "XAI",
    )
)  # fmt: skip
_STANDARD_PREFIXES = ("AWS_", "AZURE_", "GITHUB_", "GH_", "GOOGLE_", "HF_", "HUGGING")
_SECRET_NAME = re.compile(
    r"(?:^|_)(?:api_?keys?|secrets?|passwords?|passwd|pwd|credentials?|access_key|private_key)(?:_|$)"
    r"|(?:^|_)token$"
)
_SECRET_VALUE = re.compile(
    r"\b(?:sk|pk|rk)-[A-Za-z0-9_-]{16,}|\bAIza[A-Za-z0-9_-]{30,}|\bgh[opsu]_[A-Za-z0-9]{30,}"
    r"|\bgsk_[A-Za-z0-9]{20,}|\bhf_[A-Za-z0-9]{20,}|\bxox[abps]-[A-Za-z0-9-]{10,}"
    r"|\bAKIA[A-Z0-9]{16}\b|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)
"""Shapes of well-known keys."""
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


class Reference(NamedTuple):
    """Where a key is: in an environment variable, or in the system's keyring."""

    variable: str = ""
    """The variable's name; empty for a keyring."""
    service: str = ""
    user: str = ""

    @property
    def may_come_with_a_clone(self) -> bool:
        """Whether a project's file may send this key somewhere: its own variables only."""
        standard = self.variable in _STANDARD_KEYS or self.variable.startswith(_STANDARD_PREFIXES)
        return bool(self.variable) and not standard


def read_reference(text: str) -> Reference:
    """Return what `env:NAME` or `keyring:SERVICE/USER` refers to.

    Raises:
        SettingsError: it is not a reference; it is not repeated, for it may be a key.
    """
    if match := _ENV.fullmatch(text):
        return Reference(match.group(1))
    if match := _KEYRING.fullmatch(text):
        return Reference("", match.group(1), match.group(2))
    raise SettingsError(
        "An api_key must be a reference, not a key.",
        hint='Write api_key = "env:NAME" and put the key into the environment variable NAME, or '
        '"keyring:SERVICE/USER" for a key in the system\'s keyring.',
    )


def resolve(text: str) -> Secret | None:
    """Return the secret behind a reference, or None where there is none; see `why_missing`."""
    reference = read_reference(text)
    if reference.variable:
        value = os.environ.get(reference.variable, "").strip()
    else:
        value, _ = _from_keyring(reference)
    return Secret(value) if value else None


def why_missing(text: str) -> tuple[str, str]:
    """Return what is missing behind a reference that `resolve` found empty, and what to do."""
    reference = read_reference(text)
    if reference.variable:
        name = reference.variable
        return f"the environment variable {name} is not set", f"Set {name}"
    _, problem = _from_keyring(reference)
    entry = f"{reference.service}/{reference.user}"
    if problem:
        advice = (
            "Run: pip install 'bmad_nb[keyring]'"
            if problem == _NO_LIBRARY
            else 'Unlock it, or run: keyring diagnose; "env:NAME" works without a keyring'
        )
        return f"the keyring cannot be read: {problem}", advice
    command = f"keyring set {reference.service} {reference.user}"
    return f"the keyring has no entry {entry}", f"Run: {command}"


def _from_keyring(reference: Reference) -> tuple[str, str]:
    """Return a keyring's entry, or why the keyring cannot be read."""
    try:
        keyring = importlib.import_module("keyring")  # an extra: it may not be there
        return (keyring.get_password(reference.service, reference.user) or "").strip(), ""
    except ImportError:
        return "", _NO_LIBRARY
    except Exception as error:  # noqa: BLE001  (each system's keyring has errors of its own)
        return "", type(error).__name__


def looks_secret(name: str, value: str) -> bool:
    """Return whether a parameter seems to hold a key, by its name or by its value.

    >>> looks_secret("api_key", "abc"), looks_secret("max_tokens", "100")
    (True, False)
    """
    is_reference = _ENV.fullmatch(value) or _KEYRING.fullmatch(value)
    if not value.strip() or is_reference:
        return False
    return bool(_SECRET_NAME.search(name.lower()) or _SECRET_VALUE.search(value))


def redact(text: str) -> str:
    """Return `text` with every key that this process has loaded replaced by `***`."""
    with _known_lock:
        spellings = sorted(_known, key=len, reverse=True)
    for spelling in spellings:
        if spelling in text:
            text = text.replace(spelling, "***")
    return text


def scrub(text: str) -> str:
    """Return `text` without the keys that are known, and without what has the shape of one.

    >>> scrub("it was sk-abcdefghijklmnopqrstuv")
    'it was ***'
    """
    return _SECRET_VALUE.sub("***", redact(text))
