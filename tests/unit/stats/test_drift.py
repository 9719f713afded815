"""Drift is seen wherever many rows share a value, and missing values are judged by themselves."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from propensity.stats.drift import Drift, drift_of, reference_bins

ROWS, LATER = 20_000, 5_000
CHANCE = np.random.default_rng(0)


def drift(reference: Any, now: Any) -> Drift:
    """The drift of a column, with the bins of its reference."""
    bins = reference_bins(["x"], np.asarray(reference, dtype=np.float32)[:, None], np.array([0.5]), "2025-07-01")
    told = bins["features"]["x"]
    later = np.asarray(now, dtype=np.float32)
    present = later[np.isfinite(later)].astype(float)
    places = np.searchsorted(np.array(told["edges"]), present, side="right")
    counts = [*np.bincount(places, minlength=len(told["edges"]) + 1).tolist(), len(later) - len(present)]
    return drift_of("x", told["counts"], counts, limit=0.2, min_rows=200)


@pytest.mark.parametrize(("before", "now"), [(0.05, 0.60), (0.09, 0.0), (0.10, 0.5), (0.12, 0.5), (0.95, 0.5)])
def test_a_boolean_that_changes_its_share_is_seen(before: float, now: float) -> None:
    assert drift(CHANCE.random(ROWS) < before, CHANCE.random(LATER) < now).over


@pytest.mark.parametrize("share", [0.0, 0.01, 0.05, 0.5, 0.95, 1.0])
def test_a_boolean_that_stays_as_it_was_is_quiet(share: float) -> None:
    found = drift(CHANCE.random(ROWS) < share, CHANCE.random(LATER) < share)
    assert (found.over, found.nulls_over) == (False, False)
    assert found.psi < 0.01


@pytest.mark.parametrize("other", [-7.0, 0.0, 7.0])
def test_rows_that_leave_a_value_that_nearly_all_share_are_seen(other: float) -> None:
    def mostly(share: float, rows: int) -> Any:
        """A share of the rows has the value `other`, the least, the middle or the greatest; the rest is spread."""
        return np.where(
            CHANCE.random(rows) < share, other, CHANCE.uniform(0, 5, rows) * (1 if other == 0 else -other / 7)
        )

    assert drift(mostly(0.93, ROWS), mostly(0.50, LATER)).over
    assert not drift(mostly(0.93, ROWS), mostly(0.93, LATER)).over


def test_a_shift_from_a_common_middle_value_to_those_just_above_is_seen() -> None:
    def middle(share: float, above: float, rows: int) -> Any:
        draw = CHANCE.random(rows)
        low, high = CHANCE.uniform(0, 3, rows), CHANCE.uniform(3, 6, rows)
        return np.where(draw < share, 3.0, np.where(draw < share + above, high, low))

    assert drift(middle(0.9, 0.05, ROWS), middle(0.5, 0.45, LATER)).over


@pytest.mark.parametrize(
    ("before", "now"), [(0.0, 0.06), (0.02, 0.08), (0.05, 0.11), (0.1, 0.16), (0.2, 0.26), (0.5, 0.56)]
)
def test_missing_values_up_by_six_points_are_told_whatever_the_psi_says(before: float, now: float) -> None:
    found = drift_of("x", _nulls(before, ROWS), _nulls(now, LATER), limit=0.2, min_rows=200)
    assert found.nulls_over
    assert found.over == (before == 0)  # an empty bin that fills is seen by the PSI, too
    assert found.nulls_low is not None
    assert found.nulls_high is not None
    assert found.nulls_low < now - before < found.nulls_high


@pytest.mark.parametrize(
    ("before", "now", "rows"), [(0.0, 0.03, 5_000), (0.2, 0.14, 5_000), (0.0, 0.5, 199), (0.5, 0.55, 200)]
)
def test_a_small_or_uncertain_rise_and_a_fall_of_missing_values_are_no_verdict(
    before: float, now: float, rows: int
) -> None:
    assert not drift_of("x", _nulls(before, ROWS), _nulls(now, rows), limit=0.2, min_rows=200).nulls_over


def _nulls(share: float, rows: int) -> list[int]:
    return [
        rows // 2 - round(share * rows / 2),
        rows - rows // 2 - round(share * rows / 2),
        2 * round(share * rows / 2),
    ]


@given(st.lists(st.integers(0, 40).map(float), max_size=300))
def test_bins_ascend_and_count_every_row_and_few_values_have_one_each(values: list[float]) -> None:
    matrix = np.array(values, dtype=np.float32)[:, None]
    told = reference_bins(["x"], matrix, np.zeros(len(values)), "2025-07-01")["features"]["x"]
    assert sum(told["counts"]) == len(values)
    assert all(before < after for before, after in pairwise(told["edges"]))
    if len(set(values)) <= 20:
        assert told["edges"] == sorted(set(values))[1:]
    elif values.count(min(values)) * 10 >= len(values):
        assert told["counts"][0] == values.count(min(values))


def test_a_drift_of_an_early_release_is_still_read() -> None:
    early = {"name": "x", "psi": 0.1, "noise": 0.01, "reference_rows": 9, "rows": 9, "over": False}
    assert TypeAdapter(Drift).validate_python(early).nulls_over is False
