"""Exporters: one module a format, each turning the labels of a pool into files that its tools read."""
