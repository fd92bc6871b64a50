"""The store: one SQLite file that holds every run, task, call and answer, and survives kill -9."""
