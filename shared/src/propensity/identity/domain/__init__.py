"""What a pack says of identity, and the SQL that joins customers."""
