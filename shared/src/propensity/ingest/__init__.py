"""Ingest: a landed file's good rows reach Bronze and Silver, and its bad rows go to quarantine."""
