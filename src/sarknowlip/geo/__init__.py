"""Rung 1: grids, tiles, rasters, warping, footprints, gazetteer. Knows nothing of SAR."""
