"""What a reader may see of the lake: pinned versions, as-of views, run files and Gold tables."""
