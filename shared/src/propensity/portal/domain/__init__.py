"""The day from which a tenant will have enough outcomes."""
