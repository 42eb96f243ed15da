"""Simulated images in the file formats of their sensors."""
