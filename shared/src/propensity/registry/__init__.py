"""The registry of models: versions, the ledger of each model, and the artifact by which every run scores."""
