"""Rung 4: encoders of radar images and of text, and how pixels and words reach them."""
