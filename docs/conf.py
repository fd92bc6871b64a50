"""How Sphinx builds the site: `sphinx-build -W docs build/site`.

Sphinx with MyST-NB and Furo: MkDocs has had no release since 2024 and Material for it is in
maintenance, while these three are kept, and need nothing from the net. Before the pages are read,
`making` writes the reference and executes the notebooks.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import making  # noqa: E402  (beside this file)

import bmad_nb  # noqa: E402

project = "bmad_nb"
author = "the authors of bmad_nb"
copyright = author  # noqa: A001  (Sphinx's name for it)
version = release = bmad_nb.__version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_static", "commands.md"]  # the reference includes it
language = "en"

html_theme = "furo"
html_title = "bmad_nb"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"top_of_page_buttons": []}

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # `making` has executed them, as papermill does for a user
nb_ipywidgets_js: dict[str, Any] = {}  # else pages load require.js from another host
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
default_role = "literal"  # docstrings put code between single backticks
napoleon_numpy_docstring = False
napoleon_use_rtype = False
python_use_unqualified_type_names = True
maximum_signature_line_length = 80


def setup(app: Any) -> None:
    """Make the pages that are not written by hand, and let links lead out of docs/."""
    app.connect("builder-inited", _make)
    app.connect("source-read", _at_home)


def _make(app: Any) -> None:
    site = Path(app.outdir)
    making.make(HERE, site.with_name(f"{site.name}-work"))


def _at_home(app: Any, name: str, source: list[str]) -> None:  # noqa: ARG001  (Sphinx calls it)
    source[0] = making.at_home(source[0], name)
