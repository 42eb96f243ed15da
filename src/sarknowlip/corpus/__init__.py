"""Rung 3: tile records, catalog, build, split, validation, statistics, export."""
