"""Durable runs: of a batch of calls, and of a workflow; begun, taken up again, stored."""
