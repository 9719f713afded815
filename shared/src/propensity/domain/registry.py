"""Names in the registry, and what its ledger says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from propensity.domain.errors import NotFoundError
from propensity.domain.spec import Frozen, Name

CHAMPION = "champion"
ROOT = "registry"


class Move(Frozen):
    """One line of a model's ledger: an alias was set to a version. `at` is an RFC 3339 instant or a day."""

    number: int
    alias: Name
    version: int
    previous: int | None
    by: str
    why: str
    at: str


def model_root(model: str) -> str:
    return f"{ROOT}/{model}"


def version_folder(model: str, version: int) -> str:
    # six digits, so that a listing is in order
    return f"{model_root(model)}/versions/{version:06d}"


def ledger_key(model: str, number: int) -> str:
    return f"{model_root(model)}/ledger/{number:06d}.json"


def holder(moves: Iterable[Move], alias: str) -> int | None:
    """The version an alias points at: that of its last move."""
    held = None
    for move in sorted(moves, key=lambda move: move.number):
        if move.alias == alias:
            held = move.version
    return held


def before(moves: Iterable[Move], alias: str, model: str) -> int:
    """The version to roll an alias back to: the one it held before its present one.

    Raises NotFoundError where it never held another.
    """
    history = [move.version for move in sorted(moves, key=lambda move: move.number) if move.alias == alias]
    for version in reversed(history[:-1]):
        if version != history[-1]:
            return version
    raise NotFoundError(f"model {model}: alias {alias} has held no other version to roll back to")


def describe(
    version: int, metrics: Mapping[str, Any], lineage: Mapping[str, Any], aliases: Iterable[str]
) -> dict[str, Any]:
    """One version as `list` shows it."""
    return {
        "version": version,
        "aliases": sorted(aliases),
        "family": lineage["family"],
        "as_of": lineage["as_of"],
        "feature_set": lineage["feature_set"],
        "auc": metrics["auc"],
        "rows": metrics["rows"],
        "positives": metrics["positives"],
    }
