"""The daily tick, compaction, re-bucketing, rebuilding and reference checks."""
