"""The files that the ladder of a training run adds to the version's folder. Reading them needs no numpy."""

from __future__ import annotations

from collections.abc import Mapping

from propensity.lake.json_objects import dumps, find_json
from propensity.ports import ObjectStore

_FILES = "ladder/files.json"


def ladder_files(store: ObjectStore, run: str) -> dict[str, str]:
    """Return names in the version's folder, with keys of the run's files; empty for a run without a ladder."""
    return dict(find_json(store, f"{run}/{_FILES}") or {})


def write_ladder_files(store: ObjectStore, run: str, files: Mapping[str, str]) -> None:
    """Write the list of files that `ladder_files` reads."""
    store.put_new(f"{run}/{_FILES}", dumps(dict(files)))
