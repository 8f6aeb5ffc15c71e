"""When a run ends: small criteria over what its rounds have shown; which one held is kept with the run."""
