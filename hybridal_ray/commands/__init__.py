"""Commands of ``hybridal`` that fill a file of their own."""
