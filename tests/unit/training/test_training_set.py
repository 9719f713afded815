"""Rows in = rows kept + rows left out; a cap keeps what it says; nothing depends on how work is cut into items."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propensity.kernel.errors import ConflictError
from propensity.pack.domain.model_spec import ModelSpec, Treatment
from propensity.training.content_hash import ContentHash
from propensity.training.domain.training_set import LEFT_OUT, TrainingSet, capped, validation_days
from tests.kit.specs import model_spec

DAYS = [date(2025, 1, 1) + timedelta(days=40 * number) for number in range(5)]
UNTIL = DAYS[-1] + timedelta(days=40)


def spec(**changes: Any) -> ModelSpec:
    training = {"every_days": 40, "max_rows": changes.pop("max_rows", None)}
    return model_spec(**{"features": [], "training": training} | changes)


row = st.tuples(
    st.sampled_from(DAYS),
    st.sampled_from(["a", "b", "c"]),
    st.integers(0, 1),
    st.booleans(),
    st.sampled_from([None, "immature", "tenant_closed", "censored", "treated"]),
)
newest = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.dates(DAYS[0], UNTIL))


def counted(rows: list[Any], last: dict[str, date]) -> dict[str, Any]:
    """The counts that build_features makes of an item's rows."""
    population: Counter[str] = Counter()
    strata: Counter[tuple[Any, ...]] = Counter()
    treated: Counter[tuple[Any, ...]] = Counter()
    left_out: Counter[tuple[str, str]] = Counter()
    for day, tenant, label, under, reason in rows:
        population[day.isoformat()] += 1
        if reason:
            left_out[day.isoformat(), reason] += 1
        else:
            strata[day.isoformat(), tenant, label] += 1
            treated[day.isoformat(), tenant, label] += under
    return {
        "population_by_date": dict(population),
        "strata": [[*key, rows, treated[key]] for key, rows in strata.items()],
        "left_out": [[*key, rows] for key, rows in left_out.items()],
        "newest_by_tenant": {tenant: day.isoformat() for tenant, day in last.items()},
    }


@settings(max_examples=100, deadline=None)
@given(st.lists(row, max_size=60), newest, st.integers(0, 60))
def test_rows_in_are_rows_kept_and_rows_left_out_however_the_work_was_cut(
    rows: list[Any], last: dict[str, date], cut: int
) -> None:
    whole = TrainingSet.of([counted(rows, last)], spec(), until=UNTIL, silent_days=45)
    parts = [counted(rows[:cut], last), counted(rows[cut:], {})]
    assert TrainingSet.of(parts, spec(), until=UNTIL, silent_days=45) == whole
    assert sum(whole.population.values()) == len(rows) == whole.rows + sum(whole.left_out.values())
    assert {reason for _, reason in whole.left_out} <= set(LEFT_OUT)
    gone = {tenant for tenant, day in last.items() if UNTIL - day > timedelta(days=45)}
    for one in whole.strata:
        assert one.tenant_id not in gone or one.as_of + timedelta(days=30) <= last[one.tenant_id] + timedelta(days=1)


def test_rows_that_vanished_on_the_way_are_told() -> None:
    item = counted([(DAYS[0], "a", 1, False, None)] * 3, {})
    item["strata"][0][3] = 2
    with pytest.raises(ConflictError, match="3 in the population, but 2 kept and 0 left out"):
        TrainingSet.of([item], spec(), until=UNTIL, silent_days=None)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**7), st.integers(0, 10**7), st.integers(100, 10**7))
def test_a_cap_takes_its_rows_and_the_rarer_label_whole_as_long_as_it_can(
    negatives: int, positives: int, most: int
) -> None:
    if negatives + positives <= most:
        return
    shares = capped(negatives, positives, most)
    assert shares[0] * negatives + shares[1] * positives == pytest.approx(most)
    assert all(0 < share <= 1 for share in shares)
    rarer, share = min((positives, shares[1]), (negatives, shares[0]))
    assert share == 1 or rarer >= most // 2


def test_an_uncapped_set_takes_every_row() -> None:
    rows = [(day, "a", label, False, None) for day in DAYS for label in (0, 1)] * 30
    found = TrainingSet.of([counted(rows, {})], spec(max_rows=300), until=UNTIL, silent_days=None)
    assert found.rates(spec(max_rows=300)).whole
    rates = found.rates(spec(max_rows=150))
    assert not rates.whole
    # besides, only the days on which folds validate are read
    assert sorted(rates.valid) == DAYS[-3:] == validation_days(found.counts(), spec())


def test_a_day_is_thin_by_what_a_cap_leaves_of_it() -> None:
    """Of 2,000 rows with 20 positives a cap of 200 leaves 2 positives: too few for a fold that needs 10."""
    counts = {(day, label): 1_000 for day in DAYS for label in (0, 1)} | {(DAYS[-2], 0): 1_980, (DAYS[-2], 1): 20}
    folds = {"folds": 2, "min_positives": 10}
    assert validation_days(counts, spec(validation=folds)) == DAYS[-2:]
    assert validation_days(counts, spec(max_rows=200, validation=folds)) == [DAYS[-3], DAYS[-1]]


def test_a_cap_reads_the_days_that_may_be_folds_and_a_thin_one_takes_no_place() -> None:
    thin = DAYS[-2]
    rows = [(day, "a", label, False, None) for day in DAYS for label in (0, 1)] * 30
    rows = [row for row in rows if row[0] != thin] + [(thin, "a", label, False, None) for label in (0, 1)]
    found = TrainingSet.of([counted(rows, {})], spec(max_rows=150), until=UNTIL, silent_days=None)
    asked = spec(max_rows=150, validation={"folds": 2, "min_positives": 10})
    assert sorted(found.rates(asked).valid) == [DAYS[-3], DAYS[-1]]


def test_a_treatments_weight_is_for_its_policy_alone() -> None:
    said = {"description": "d", "sql": "select 1"}
    assert Treatment.model_validate({**said, "policy": "weight", "weight": 0.5}).weight == 0.5
    for wrong in ({"policy": "weight"}, {"policy": "keep", "weight": 0.5}, {"policy": "weight", "weight": 0}):
        with pytest.raises(ValueError, match="weight"):
            Treatment.model_validate({**said, **wrong})


def test_a_window_ends_a_horizon_after_its_date_and_a_gap_takes_from_its_beginning() -> None:
    with pytest.raises(ValueError, match="gap_days 30: expected fewer than horizon_days 30"):
        spec(gap_days=30)


values = st.lists(
    st.tuples(st.text("ab", max_size=3), st.integers(0, 3), st.sampled_from([0.0, -0.0, 1.5, float("nan")])),
    min_size=1,
    max_size=20,
)


def hashed(*files: list[Any]) -> str:
    found = ContentHash(["x"])
    for rows in files:
        numbers = np.array([row[1] for row in rows], dtype=np.int64)
        found.add([row[0] for row in rows], numbers, np.array([[row[2]] for row in rows], dtype=np.float32))
    return found.hexdigest()


@settings(max_examples=100, deadline=None)
@given(values, st.randoms(use_true_random=False), st.integers(0, 20), st.data())
def test_a_content_hash_knows_no_order_and_no_files_but_every_value(
    rows: list[Any], chance: Any, cut: int, data: st.DataObject
) -> None:
    mixed = list(rows)
    chance.shuffle(mixed)
    assert hashed(mixed[:cut], mixed[cut:]) == hashed(rows)
    place = data.draw(st.integers(0, len(rows) - 1))
    name, number, value = rows[place]
    other = data.draw(st.sampled_from([(name + "c", number, value), (name, number + 4, value), (name, number, 7.0)]))
    assert hashed([*rows[:place], other, *rows[place + 1 :]]) != hashed(rows)
    assert hashed([*rows, rows[place]]) != hashed(rows)
