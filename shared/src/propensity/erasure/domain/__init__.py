"""Pure rules of erasure: who is to be erased, how their names are found, and the record of an erasure."""
