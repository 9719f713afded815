"""Identity: which customers are one person, and which customers live in one household."""
