"""Maps with OpenStreetMap tags: read from any file, kept as an index on disk, found by place."""
