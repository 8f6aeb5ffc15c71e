"""The larger commands of ``hybridal``, a command or a group of them a module."""
