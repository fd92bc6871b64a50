"""Answers that are stored already, made into one: votes and merges that ask nobody."""
