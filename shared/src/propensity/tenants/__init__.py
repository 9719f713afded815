"""A tenant's record and its ledger."""
