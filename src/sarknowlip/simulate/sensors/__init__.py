"""Profiles of radars: what they see, how finely, with which noise, and in which file format."""
