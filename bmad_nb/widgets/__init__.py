"""Widgets of the notebook: each a live view with a static form."""
