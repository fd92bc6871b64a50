"""Watching runs: what a monitor shows, folded from the store's events and sent as small changes."""
