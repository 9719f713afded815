"""The files that were taken back. Each has an object below `retractions/`, which is never rewritten."""

from __future__ import annotations

from propensity.lake.domain.retractions import Retraction, retraction_prefix
from propensity.ports import ObjectStore


def retractions(store: ObjectStore, dataset: str) -> list[Retraction]:
    """The retractions of a dataset, in order of content id."""
    return [Retraction.model_validate_json(store.get(key)) for key in store.keys(retraction_prefix(dataset))]


def retracted(store: ObjectStore, dataset: str) -> tuple[tuple[str, str], ...]:
    """The (content_id, at) of each file that was taken back, as the views take them."""
    return tuple((retraction.content_id, retraction.at) for retraction in retractions(store, dataset))
