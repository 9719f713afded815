"""Scores on demand, their log, and the explanation of one score."""
