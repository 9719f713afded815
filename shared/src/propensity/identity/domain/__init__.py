"""The identity rules of a pack, and the SQL that joins customers."""
