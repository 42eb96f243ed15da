"""Rounds of the closed loop: texts are scored, and what the scores say of each is decided."""
