"""The lake as a reader may see it: pinned versions, as-of views, run files and Gold tables."""
