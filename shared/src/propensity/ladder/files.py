"""What the ladder of a training run adds to the version's folder; read without the layers that made it."""

from __future__ import annotations

from propensity.lake.json_objects import find_json
from propensity.ports import ObjectStore

FILES = "ladder/files.json"


def ladder_files(store: ObjectStore, run: str) -> dict[str, str]:
    """Names in the version's folder to keys of the run; none for a run without a ladder."""
    return dict(find_json(store, f"{run}/{FILES}") or {})
