"""The upkeep of a stack: the daily tick, compaction, re-bucketing and rebuilding of tables, and reference checks."""
