"""Rung 2: SAR products, radiometry, speckle, geometry, storage scaling."""
