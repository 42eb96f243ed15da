"""Rung 3: evidence about a tile, the sources that find it, and how it is stored."""
