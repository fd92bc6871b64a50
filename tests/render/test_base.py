"""Safe text and how numbers are written."""

from __future__ import annotations

from decimal import Decimal
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmad_nb.render.base import Html, cut, escape, markup, plain, seconds, tag, tokens, usd
from bmad_nb.render.text import table_text


@pytest.mark.parametrize(
    ("expected", "amount"),
    [
        ("$0", "0"),
        ("$0.00017", "0.000171"),
        ("$0.0021", "0.0021"),
        ("$0.0204", "0.0204"),
        ("$0.10", "0.1"),
        ("$1.12", "1.124"),
        ("$1,234.50", "1234.5"),
        ("\u2212$0.05", "-0.05"),
        ("<$0.000000001", "1e-12"),
        ("price unknown", "NaN"),
    ],
)
def test_usd(expected, amount):
    """Money is written with as many digits as it takes to be seen, and with a real minus."""
    assert expected == usd(Decimal(amount))


def test_missing_numbers():
    """A missing number is a word or a dash, never a zero."""
    assert ("price unknown", "\u2013", "\u2013") == (usd(None), seconds(None), tokens(None))


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ("red", "\x1b[31mred\x1b[0m"),
        ("link", "\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\"),
        ("title", "\x1b]0;evil\x07title"),
        ("8-bit", "\x9b31m8-bit"),
        ("0;not ended", "\x1b]0;not ended"),
        ("nul", "n\x00ul"),
        ("a\nb\tc", "a\r\nb\tc"),
        ("over\nwritten", "over\rwritten"),
        ("\ufffd", "\ud800"),
        ("[U+202E]abc", "\u202eabc"),
    ],
)
def test_plain(expected, text):
    """Nothing that steers a terminal is left, and nothing readable is lost."""
    assert expected == plain(text)


@given(st.text(st.characters(codec=None, exclude_categories=())))
def test_escape_is_well_formed(text):
    """Any text at all becomes well-formed XML that encodes to UTF-8, in text and in attributes."""
    element = tag("p", text, title=text)
    assert "p" == ET.fromstring(element.encode("utf-8")).tag


@given(st.text(st.characters(codec=None, exclude_categories=())))
def test_plain_has_no_controls(text):
    """No control character but newline and tab passes to a terminal."""
    shown = plain(text)
    assert set() == {c for c in shown if (c < " " or "\x7f" <= c < "\xa0") and c not in "\n\t"}
    assert shown.encode("utf-8").decode() == shown


def test_children_are_escaped_unless_markup():
    """A forgotten escape shows as text, and markup is not escaped twice."""
    assert "<b>&lt;i&gt;<u>x</u></b>" == tag("b", "<i>", tag("u", "x"))
    assert isinstance(markup("a"), Html)


@given(st.text(max_size=200), st.integers(1, 50))
def test_cut_keeps_to_its_limit(text, limit):
    """A cut text is a beginning of the text and as small as asked, save for one character."""
    shown = cut(text, limit)
    assert text.startswith(shown)
    assert len(shown) <= 1 or len(escape(shown).encode()) <= limit


def test_table_aligns_wide_letters():
    """Letters two cells wide do not push the columns after them apart."""
    lines = table_text(["LLM", "cost"], [["日本", "$1.00"], ["abcd", "$0.50"]]).split("\n")
    assert ["LLM    cost", "日本  $1.00", "abcd  $0.50"] == lines
