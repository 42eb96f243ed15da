"""Rung 0: errors, configuration base, lazy tables, hashing, files; imports nothing else here."""
