"""Scorers: how good an answer is, as a number in [0, 1]."""
