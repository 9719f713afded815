"""A tenant's record: its states and settings over time."""
