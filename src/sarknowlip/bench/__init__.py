"""Rung 7: the benchmark: tasks, baselines, metrics with intervals, one runner."""
