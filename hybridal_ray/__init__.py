"""Hybridal Ray: which frames of which videos to label next."""

__version__ = "0.1.0"
