"""Pure values of the registry: the lines of the ledger, the rungs of the ladder, and the reasons of a score."""
