"""Which files were taken back: one object each below `retractions/`, never rewritten."""

from __future__ import annotations

from propensity.lake.domain.retractions import Retraction, retraction_prefix
from propensity.ports import ObjectStore


def retractions(store: ObjectStore, dataset: str) -> list[Retraction]:
    """Those of a dataset, by content id."""
    return [Retraction.model_validate_json(store.get(key)) for key in store.keys(retraction_prefix(dataset))]


def retracted(store: ObjectStore, dataset: str) -> tuple[tuple[str, str], ...]:
    """As the views take them: (content_id, at)."""
    return tuple((one.content_id, one.at) for one in retractions(store, dataset))
