"""Who is to be erased, how their names are found, and the record of an erasure."""
