"""Rung 3: simulated scenes with known truth, written as products of real formats."""
