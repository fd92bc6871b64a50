"""Routers: each chooses an LLM for a task."""
