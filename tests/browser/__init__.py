"""The notebooks in a real JupyterLab and a real Notebook 7, in a headless Chromium.

Fixtures of `conftest` start one server of each kind and one browser for all tests here, and
`servers` and `pages` drive them. All tests here are `long`. Where Chromium is absent they are
skipped; with BMAD_REQUIRE_BROWSER=1 they fail instead.
"""
