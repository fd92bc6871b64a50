"""LLMs: one protocol and its members."""
