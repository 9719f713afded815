"""Scores on demand, the log of the answers, and the explanation of one score."""
