"""The rule for the day from which a tenant will have enough outcomes."""
