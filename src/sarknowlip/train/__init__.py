"""Rung 7: the training engine: recipes, task, loop, checkpoints, log."""
