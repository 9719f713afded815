"""Names of the files that the steps of a scoring run hand on."""

from __future__ import annotations

CUTS = "cuts.json"
