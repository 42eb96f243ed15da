"""City worlds: from a seed or from OpenStreetMap, at one date or two, with exact truth."""
