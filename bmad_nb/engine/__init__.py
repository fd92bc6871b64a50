"""The engine: runs what was planned, durably. Standard library only."""
