"""Torch modules: the detector interface, the detectors behind it, Monte Carlo Dropout, checkpoints."""
