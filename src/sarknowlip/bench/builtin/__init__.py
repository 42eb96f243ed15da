"""Data sets for every task from simulated cities: nothing to fetch, truth known exactly."""
