"""Which customers are one person, and which live in one household."""
