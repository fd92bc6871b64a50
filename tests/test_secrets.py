"""Keys: they show as stars, are references only, and vanish from every text that is kept."""

from __future__ import annotations

import base64
import copy
import json
import logging
import pickle
import subprocess
import sys
import traceback
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bmad_nb.errors import SettingsError
from bmad_nb.secrets import (
    Reference,
    Secret,
    looks_secret,
    read_reference,
    redact,
    resolve,
    why_missing,
)
from tests.fake_provider import FakeProvider
from tests.kernel import clean_environment

KEY = "sk-canary+/=0123456789"


@pytest.mark.parametrize(
    "shown",
    [
        repr,
        str,
        "{}".format,
        "{:>40}".format,
        "{!r}".format,
        lambda secret: f"{secret}",
        lambda secret: "%s" % secret,  # noqa: UP031
        lambda secret: repr([secret]),
        lambda secret: repr({"key": secret}),
        lambda secret: logging.LogRecord("x", 1, "x", 1, "%s", (secret,), None).getMessage(),
    ],
)
def test_a_secret_shows_as_stars(shown: Callable[[Any], str]) -> None:
    """However a secret is printed, there are stars and nothing of the key."""
    text = shown(Secret(KEY))
    assert "***" in text
    assert KEY not in text


@pytest.mark.parametrize("use", [pickle.dumps, copy.copy, copy.deepcopy, json.dumps, vars])
def test_a_secret_is_not_serialised(use: Callable[[Any], Any]) -> None:
    """Serialising or copying a secret fails, and the error does not show the key."""
    with pytest.raises(TypeError) as caught:
        use(Secret(KEY))
    assert KEY not in "".join(traceback.format_exception(caught.value))


def test_the_key_itself_is_had_on_request_only() -> None:
    """`reveal` gives the key to the code that sets the header."""
    assert KEY == Secret(KEY).reveal()


@pytest.mark.parametrize(
    "spell",
    [
        lambda key: key,
        lambda key: urllib.parse.quote(key, safe=""),
        lambda key: base64.b64encode(key.encode()).decode(),
        lambda key: base64.urlsafe_b64encode(key.encode()).decode(),
    ],
)
def test_the_redactor_knows_the_spellings_of_a_key(spell: Callable[[str], str]) -> None:
    """The key, its URL form and its base64 forms are taken out of a text."""
    Secret(KEY)
    text = f"before {spell(KEY)} after"
    assert KEY not in redact(text)
    assert spell(KEY) not in redact(text)
    assert redact(text).startswith("before ***")
    assert redact(text).endswith(" after")


def test_a_longer_key_is_taken_out_before_its_beginning() -> None:
    """Where one key begins as another, no rest of the longer one is left."""
    Secret("abcdefgh-1")
    Secret("abcdefgh-1-2-3-rest")
    assert "*** ***" == redact("abcdefgh-1-2-3-rest abcdefgh-1")


def test_a_very_short_key_does_not_blank_out_words() -> None:
    """A key of less than six characters is not searched for: it would be an ordinary word."""
    Secret("cat")
    assert "concatenate" == redact("concatenate")


@pytest.mark.parametrize("text", ["", "plain text", "ü \ud800 \x00"])
def test_a_text_without_a_key_is_unchanged(text: str) -> None:
    """The redactor leaves other texts alone."""
    assert text == redact(text)


def test_a_reference_names_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """env:NAME is the variable's value, without space around it; unset or empty is None."""
    assert "MY_KEY2" == read_reference("env:MY_KEY2").variable
    assert resolve("env:MY_KEY2") is None
    monkeypatch.setenv("MY_KEY2", "  ")
    assert resolve("env:MY_KEY2") is None
    monkeypatch.setenv("MY_KEY2", f" {KEY}\n")
    found = resolve("env:MY_KEY2")
    assert found is not None
    assert KEY == found.reveal()


@pytest.mark.parametrize("text", [KEY, "", "env:", "env:1A", "env:A B", "ENV:A", "env:A\n", "$A"])
def test_what_is_not_a_reference_is_refused_and_not_repeated(text: str) -> None:
    """Anything but env:NAME is a SettingsError that does not say what it was."""
    with pytest.raises(SettingsError) as caught:
        read_reference(text)
    if len(text) > 4:
        assert text not in str(caught.value)


# --- keyring --------------------------------------------------------------------------------------


class _Ring:
    """A keyring in memory, in the place of the system's."""

    def __init__(self, entries: dict[tuple[str, str], str], broken: bool = False) -> None:
        self.entries, self.broken = entries, broken

    def get_password(self, service: str, user: str) -> str | None:
        """Return an entry, or fail as a locked keyring does."""
        if self.broken:
            raise RuntimeError("locked")
        return self.entries.get((service, user))


def test_a_keyring_reference_is_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    """`keyring:SERVICE/USER` gives the entry; it is looked up only when somebody asks."""
    ring = _Ring({("openai", "me@home"): "sk-in-the-ring-123456"})
    monkeypatch.setitem(sys.modules, "keyring", ring)
    found = resolve("keyring:openai/me@home")
    assert found is not None
    assert "sk-in-the-ring-123456" == found.reveal()
    assert Reference("", "openai", "me@home") == read_reference("keyring:openai/me@home")
    assert resolve("keyring:openai/nobody") is None
    said, remedy = why_missing("keyring:openai/nobody")
    assert "no entry openai/nobody" in said
    assert "keyring set openai nobody" in remedy


def test_a_keyring_that_cannot_be_read_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing library and a locked keyring are what is missing, not a crash."""
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert resolve("keyring:a/b") is None
    assert "not installed" in why_missing("keyring:a/b")[0]
    assert "bmad_nb[keyring]" in why_missing("keyring:a/b")[1]
    monkeypatch.setitem(sys.modules, "keyring", _Ring({}, broken=True))
    assert resolve("keyring:a/b") is None
    assert "RuntimeError" in why_missing("keyring:a/b")[0]


@pytest.fixture
def shell(project: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Give a way to run a module with the keyring library's own backends, in a home of its own."""
    home = project / "home"

    def run(
        *words: str, backend: str = "keyrings.alt.file.PlaintextKeyring", said: str = ""
    ) -> subprocess.CompletedProcess[str]:
        env = clean_environment(home, PYTHON_KEYRING_BACKEND=backend, XDG_DATA_HOME=str(home))
        return subprocess.run([sys.executable, "-m", *words], cwd=project, env=env, input=said,
                              capture_output=True, text=True, timeout=60)  # fmt: skip

    return run


def test_a_key_from_a_real_keyring_reaches_the_endpoint_and_nothing_else(
    project: Path, shell: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """`keyring set` puts it in, a call is answered with it, and no file of ours has it."""
    key = "sk-in-the-ring-0123456789"  # no canary: the file of this keyring does hold it
    assert 0 == shell("keyring", "set", "lab-endpoint", "me", said=f"{key}\n").returncode
    with FakeProvider({"models": {"small": {}}, "key": key}) as provider:
        own = project / "home" / "config" / "bmad_nb"
        own.mkdir(parents=True)
        (own / "config.toml").write_text(
            f'[endpoints.lab]\nbase_url = "{provider.url}"\n'
            'api_key = "keyring:lab-endpoint/me"\nmodels = ["small"]\n'
        )
        done = shell("bmad_nb", "ask", "-m", "lab/small", "Hello?")
        assert 0 == done.returncode, done.stderr
        assert 1 == provider.counts()["received"]
        empty = shell("bmad_nb", "ask", "-m", "lab/small", "Again?",
                      backend="keyring.backends.null.Keyring")  # fmt: skip
        locked = shell("bmad_nb", "ask", "-m", "lab/small", "Again?",
                       backend="keyring.backends.fail.Keyring")  # fmt: skip
        assert 1 == provider.counts()["received"]
    assert "keyring set lab-endpoint me" in empty.stderr
    assert "NoKeyringError" in locked.stderr
    assert "pip install" not in locked.stderr
    assert key not in done.stdout + done.stderr
    for file in (project / ".bmad").rglob("*"):
        assert not file.is_file() or key.encode() not in file.read_bytes()


def test_what_may_come_with_a_clone() -> None:
    """A project's file may use variables of its own, no standard ones and no keyring."""
    allowed = [read_reference(text).may_come_with_a_clone
               for text in ("env:LAB_KEY", "env:OPENAI_API_KEY", "env:AWS_X", "keyring:a/b")]  # fmt: skip
    assert [True, False, False, False] == allowed


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("api_key", "anything", True), ("OPENAI_API_KEY", "x", True), ("password", "x", True),
        ("my_secret", "x", True), ("hf_token", "x", True), ("token", "x", True),
        ("note", "use sk-abcdefghijklmnop1234 now", True), ("n", "AIza" + "x" * 35, True),
        ("pem", "-----BEGIN RSA PRIVATE KEY-----", True),
        ("max_tokens", "100", False), ("token_limit", "5", False), ("tokenizer", "bpe", False),
        ("api_key", "env:OPENAI_API_KEY", False), ("api_key", "", False),
        ("secretary", "Ann", False), ("keyboard", "qwerty", False), ("monkey", "x", False),
        ("text", "the risk-free rate of a desk-bound task", False), ("sha", "a" * 64, False),
    ],
)  # fmt: skip
def test_what_looks_like_a_key(name: str, value: str, *, secret: bool) -> None:
    """Names and values of keys are known; ordinary words, hashes and references are not taken."""
    assert secret is looks_secret(name, value)
