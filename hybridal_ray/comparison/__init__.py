"""Comparisons: grids of ordinary runs over arms and seeds, and what they say of one another."""
