"""Figures over several folds of small lists: the same customers, date after date."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from propensity.evaluation.domain.gates import OVER_FOLDS, quality
from propensity.kernel.errors import EvidenceError
from propensity.pack.domain.model_spec import Gates
from propensity.stats.figures import Estimate
from propensity.stats.over_folds import Lists, auc_over_folds, lift_over_folds
from propensity.stats.within_tenant import auc_within, by_tenant, lift_of_lists

WORLDS = 300


def lists(seed: int, *, folds: int = 6, customers: int = 280, tenants: int = 2, apart: float = 0.0) -> Lists:
    """Weekly lists of the same customers, of whom a tenth convert. Conversions and scores hold on from date to date.

    A converter's score is higher by `apart`, as in the model of two normals.
    """
    chance = np.random.default_rng(seed)
    owner = np.repeat(np.arange(tenants), customers // tenants)
    steady = chance.normal(0, 1, customers)
    rows: list[tuple[Any, ...]] = []
    for fold in range(folds):
        wish = 0.7 * steady + chance.normal(0, 0.714, customers)
        label = (wish > 1.28).astype(np.int64)
        rows.append((owner, np.arange(customers), np.full(customers, fold), label))
    tenant, customer, fold_of, label = (np.concatenate(part) for part in zip(*rows, strict=True))
    score = apart * label + np.tile(0.8 * chance.normal(0, 1, customers), folds) + 0.6 * chance.normal(0, 1, len(label))
    return Lists(tenant, customer, fold_of, score, label)


def newest(rows: Lists) -> Lists:
    here = rows.fold == rows.fold.max()
    return Lists(rows.tenant[here], rows.customer[here], rows.fold[here], rows.score[here], rows.label[here])


def test_over_one_fold_the_figures_are_those_of_the_fold() -> None:
    rows = lists(1, folds=1, apart=1.0)
    one = zip(rows.tenant.astype(str), rows.score.tolist(), np.ones(len(rows.label), int), rows.label, strict=True)
    tenants = by_tenant((str(tenant), float(score), 1, int(label)) for tenant, score, _, label in one)
    for pooled, single in (
        (auc_over_folds(rows), auc_within(tenants)),
        (lift_over_folds(rows), lift_of_lists(tenants)),
    ):
        assert pooled.value == pytest.approx(single.value)
        assert pooled.high - pooled.low == pytest.approx(single.high - single.low, rel=0.15)


def test_dates_and_tenants_with_high_rates_lift_nothing() -> None:
    """Scores that only know the list have an AUC of 0.5 and a lift of 1."""
    rows = lists(2)
    busy = np.where(rows.fold % 2 == 0, 1, rows.label)
    blind = Lists(rows.tenant, rows.customer, rows.fold, 1.0 * (rows.fold % 2 == 0), np.where(busy > 0, rows.label, 0))
    assert auc_over_folds(blind).value == 0.5
    assert lift_over_folds(blind).value == pytest.approx(1)


@pytest.mark.parametrize("apart", [0.0, 0.6])
def test_intervals_cover_although_customers_come_again(apart: float) -> None:
    truth = [auc_over_folds(lists(seed, folds=12, customers=8_000, apart=apart)).value for seed in range(1000, 1003)]
    lifted = [lift_over_folds(lists(seed, folds=12, customers=8_000, apart=apart)).value for seed in range(1000, 1003)]
    found = [lists(seed, apart=apart) for seed in range(WORLDS)]
    area, lift = float(np.mean(truth)), float(np.mean(lifted))
    covered = np.mean([one.low <= area <= one.high for one in map(auc_over_folds, found)])
    assert covered >= 0.92
    assert np.mean([one.low <= lift <= one.high for one in map(lift_over_folds, found)]) >= 0.92


def gates_of(rows: Lists) -> dict[str, str]:
    last = newest(rows)
    single = {"auc_within": auc_over_folds(last), "lift_of_lists": lift_over_folds(last)}
    right = {"brier_skill": Estimate(0.1, 0.05, 0.15, 1), "calibration_slope": Estimate(1, 0.9, 1.1, 1)}
    pooled = dict(zip(OVER_FOLDS, (auc_over_folds(rows), lift_over_folds(rows)), strict=True))
    alone = {gate.name: gate.outcome for gate in quality(single | right, Gates())}
    both = {gate.name: gate.outcome for gate in quality(single | right, Gates(), pooled)}
    return {"one": alone["lift_floor"], "all": both["lift_floor"], "ranks": both["auc_floor"]}


def test_small_weekly_lists_prove_their_lift_over_all_folds() -> None:
    """28 customers in the top tenth, and a model that is sound."""
    worlds = [gates_of(lists(seed, apart=0.6)) for seed in range(100)]
    alone, together = (sum(world[how] == "passed" for world in worlds) for how in ("one", "all"))
    assert alone <= 60
    assert together >= 90


def test_a_model_of_chance_passes_neither_floor() -> None:
    worlds = [gates_of(lists(seed)) for seed in range(WORLDS)]
    assert sum(world["all"] == "passed" for world in worlds) <= 0.05 * WORLDS
    assert sum(world["ranks"] == "passed" for world in worlds) <= 0.025 * WORLDS


def test_a_model_that_has_stopped_ranking_fails_in_spite_of_its_older_folds() -> None:
    rows = lists(3, customers=2_000, apart=1.2)
    stopped = np.where(rows.fold == rows.fold.max(), -rows.score, rows.score)
    found = gates_of(Lists(rows.tenant, rows.customer, rows.fold, stopped, rows.label))
    assert (found["all"], found["ranks"]) == ("failed", "failed")


def test_no_lift_is_above_that_of_a_perfect_model() -> None:
    """Half of a list of 40 convert, so nobody's top tenth converts more than twice as often."""
    customer = np.tile(np.arange(40), 3)
    label = (customer % 2).astype(np.int64)
    score = np.where(np.arange(120) == 0, 2.0, label)  # one list has somebody else on top
    found = lift_over_folds(Lists(0 * customer, customer, np.repeat(np.arange(3), 40), score, label))
    assert found.value == pytest.approx(2 * 11 / 12)
    assert 1 < found.low < found.value
    assert found.high == pytest.approx(2)


def test_without_conversions_there_is_no_figure() -> None:
    rows = lists(4)
    none = Lists(rows.tenant, rows.customer, rows.fold, rows.score, np.zeros_like(rows.label))
    with pytest.raises(EvidenceError, match="wait for outcomes"):
        auc_over_folds(none)
    with pytest.raises(EvidenceError, match="wait for outcomes"):
        lift_over_folds(none)
