"""Values: the lines of the ledger, the rungs of the ladder, and reasons."""
