"""Model versions, their ledger, and the artifact: the one scoring path."""
