"""Lists: who is on a list for a destination, who is not and why, and the files that leave."""
