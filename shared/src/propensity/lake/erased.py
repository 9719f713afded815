"""What the records of erasures say to those who look at an older version of a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from propensity.lake.domain.erasure_records import ROOT, rows_erased
from propensity.lake.json_objects import read_json
from propensity.lake.silver_tables import silver_table
from propensity.ports import ObjectStore


def erasure_records(store: ObjectStore) -> list[dict[str, Any]]:
    """The records of all erasures, by request."""
    return [read_json(store, key) for key in store.keys(f"{ROOT}/")]


def rows_erased_since(records: list[dict[str, Any]], silver: Mapping[str, int]) -> dict[str, int]:
    """Per dataset, how many rows of the versions that a model was trained on were erased since; none are left out.

    A replay of the training reads so many rows fewer than its lineage and its logs say.
    """
    counted = {
        dataset: rows_erased(records, silver_table(dataset), int(version)) for dataset, version in silver.items()
    }
    return {dataset: rows for dataset, rows in sorted(counted.items()) if rows}
