"""Rung 6: running a trained model over a corpus."""
