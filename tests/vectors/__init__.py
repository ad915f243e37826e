"""Recorded and published test data, and what reads it."""
