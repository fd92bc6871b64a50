"""Runs taken out of the store, whole and without keys: for reading, for tables, for elsewhere."""
