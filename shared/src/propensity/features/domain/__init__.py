"""The columns of the matrix, coverage, catalogue and differences, all as values."""
