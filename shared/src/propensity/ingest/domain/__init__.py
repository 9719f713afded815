"""Keys of landed files, the rules of a row, file reports, and which of a tenant's days are out of the ordinary."""
