"""In a real JupyterLab and in nbconvert's HTML no hostile text does anything in a card."""

from __future__ import annotations

from tests.browser.harmless import PAYLOADS, harmless_everywhere

CHUNK = 40
CARDS = """
from IPython.display import display
from tests.hostile import markup, sinks
found = [page for each in markup.payloads()[{start}:{end}] for page in sinks.cards(each.text)]
display({{"text/html": "".join(html for html, _ in found),
          "text/plain": "".join(text for _, text in found)}}, raw=True)
"""
DECKS = """
texts = [each.text for each in markup.payloads()]
for start in range(0, len(texts), 40):
    found = list(sinks.decks(texts[start:start + 40]))
    display({"text/html": "".join(html for html, _ in found),
             "text/plain": "".join(text for _, text in found)}, raw=True)
"""


def test_there_are_many_payloads():
    """Over five hundred different texts of sixteen kinds."""
    assert len({each.text for each in PAYLOADS}) >= 500
    assert len({each.kind for each in PAYLOADS}) >= 14


def test_no_payload_fires_in_a_card(opened, lab, chromium, tmp_path):
    """In every field of every card, in a trusted notebook, none of the texts does anything."""
    cells = [CARDS.format(start=n, end=n + CHUNK) for n in range(0, len(PAYLOADS), CHUNK)]
    with opened(lab, *cells, DECKS) as notebook:
        notebook.run_all()
        assert [] == notebook.failures()
        harmless_everywhere(notebook, tmp_path, chromium, lab)
