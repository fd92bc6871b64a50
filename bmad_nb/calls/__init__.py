"""LLM calls, made durably: stored answers, limits, pacing, retries and the ledger."""
