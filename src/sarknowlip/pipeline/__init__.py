"""Rung 8: all four pillars in one go, and the report about it."""
