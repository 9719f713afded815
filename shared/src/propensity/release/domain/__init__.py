"""Pure rules of releases: the rules by which an alias moves, and what a replay must repeat."""
