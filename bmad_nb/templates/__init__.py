"""Workflows to begin with: documents as data, with sample inputs and declared parameters."""
