"""Who may move an alias, and what a replay must repeat."""
