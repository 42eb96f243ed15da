"""Rung 4: claims that rest on evidence, texts that render claims, and their verification."""
