"""Planted errors: a version of annotations in which a known share of texts is wrong."""
