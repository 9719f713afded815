"""The ledger's lines, the rungs of the ladder and reason codes as values."""
