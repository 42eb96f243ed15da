"""Heads on frozen features: the same small models for every adapter, trained on one part only."""
