"""The daily tick, compaction, re-bucketing and rebuilding of tables, and reference checks."""
