"""The number of rows of an older version of a table that were erased since, by the records of erasures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from propensity.lake.domain.erasure_records import ERASURES, rows_erased
from propensity.lake.json_objects import read_json
from propensity.lake.silver_tables import silver_table
from propensity.ports import ObjectStore


def erasure_records(store: ObjectStore) -> list[dict[str, Any]]:
    """The records of all erasures, in the order in which the erasures were requested."""
    return [read_json(store, key) for key in store.keys(f"{ERASURES}/")]


def rows_erased_since(records: list[dict[str, Any]], silver: Mapping[str, int]) -> dict[str, int]:
    """The number of rows, per dataset, that were erased since from the version that a model was trained on.

    `silver` gives that version, per dataset. A dataset that lost no row is left out. A replay of the training reads so
    many rows fewer than the model's lineage and Silver's log say.
    """
    counted = {
        dataset: rows_erased(records, silver_table(dataset), int(version)) for dataset, version in silver.items()
    }
    return {dataset: rows for dataset, rows in sorted(counted.items()) if rows}
