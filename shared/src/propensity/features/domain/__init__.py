"""Columns of the matrix, coverage, catalogue and differences as values."""
