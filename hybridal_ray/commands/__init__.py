"""Groups of ``hybridal`` commands, one module a group."""
