"""Landing keys, rules of a row, and when a tenant's files are out of the ordinary."""
