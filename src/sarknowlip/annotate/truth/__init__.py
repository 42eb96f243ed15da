"""Claims against exact truth: how right the annotations of simulated worlds are.

An independent judge. It reads the truth tables and rasters that the simulator wrote, and shares
neither facts nor rules with what drew the claims.
"""
