"""Keys of landed files, the rules of a row, file reports, and the days of a tenant that are out of the ordinary."""
