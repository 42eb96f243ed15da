"""Rung 5: pairs of a tile and a caption, in an order that can be resumed."""
