"""The steps of a batch or gap run: plan, score, rank, label, commit and publish."""
