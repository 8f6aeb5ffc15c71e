"""What the next round of a run will cost, before it is run."""
