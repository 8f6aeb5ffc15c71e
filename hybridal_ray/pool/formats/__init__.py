"""Importers: one module a format, each turning a data set on disk into the tables of a pool."""
