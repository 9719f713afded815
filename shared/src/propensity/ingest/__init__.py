"""A landed file's good rows reach Bronze and Silver; its bad rows go to quarantine."""
