"""A family's search: it stops where more iterations gain nothing, keeps to its budget, and balances classes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from propensity.adapters.sklearn_trainer import SklearnTrainer
from propensity.kernel.errors import EvidenceError
from propensity.ports import Ports, Sample
from propensity.training.data import TrainingData
from propensity.training.domain.search import Setting
from propensity.training.search_run import Found, Search, Tried
from tests.kit.specs import model_spec

PORTS = cast("Ports", SimpleNamespace(trainer=SklearnTrainer()))
EAGER = {"learning_rate": 0.5, "max_iter": 60, "max_leaf_nodes": 6, "min_samples_leaf": 20}


def months(rate: float = 0.2) -> TrainingData:
    """Six monthly dates of 400 customers each, about this share of whom converts."""
    random = np.random.default_rng(2)
    matrix = random.normal(size=(2_400, 4)).astype(np.float32)
    labels = random.random(2_400) < 1 / (1 + np.exp(-matrix[:, 0] - np.log(rate / (1 - rate))))
    days = np.repeat(np.arange("2025-01", "2025-07", dtype="datetime64[M]").astype("datetime64[D]"), 400)
    return TrainingData(matrix, labels.astype(np.int8), days)


def found(
    data: TrainingData, family: str, more: dict[str, Any] | None = None, **candidate: Any
) -> tuple[Search, Found]:
    more = more or {}
    spec = model_spec(
        **{
            "horizon_days": 20,
            **more,
            "training": {"every_months": 1, "as_of_count": 6, **more.get("training", {})},
            "candidates": [{"family": family, **candidate}],
        }
    )
    search = Search(PORTS, spec, spec.candidates[0].family, data)
    return search, search.run(spec.candidates[0])


def test_a_boosted_model_stops_where_later_dates_gain_nothing_more() -> None:
    data = months()
    _, stopped = found(data, "hist_gradient_boosting", grid=[EAGER], patience=10)
    _, whole = found(data, "hist_gradient_boosting", grid=[EAGER], patience=0)
    iterations = stopped.setting.parameters["max_iter"]
    assert 1 <= iterations < 40
    assert whole.setting.parameters["max_iter"] == 60
    assert stopped.best.loss < whole.best.loss
    [trial] = stopped.trials
    assert (trial.iterations, trial.setting.parameters["max_iter"]) == (iterations, 60)
    # its figures are those of a model of so many iterations
    _, exactly = found(data, "hist_gradient_boosting", grid=[{**EAGER, "max_iter": iterations}], patience=0)
    assert exactly.best.losses == stopped.best.losses
    assert np.array_equal(exactly.best.columns()["raw"], stopped.best.columns()["raw"])


def test_a_learner_that_still_gains_is_grown_to_the_end() -> None:
    _, slow = found(
        months(), "hist_gradient_boosting", grid=[{**EAGER, "learning_rate": 0.01, "max_iter": 12}], patience=5
    )
    assert slow.setting.parameters["max_iter"] == 12


class Scripted:
    """A model whose loss is least after `best` iterations. `asked` keeps up to how many iterations it was grown.

    From `dip` iterations on, its loss is less than ever before, and falls.
    """

    def __init__(self, best: int, iterations: int, dip: int = 1_000) -> None:
        self.best, self.iterations, self.dip, self.asked = best, iterations, dip, list[int]()

    def grow(self, iterations: int) -> None:
        self.iterations = iterations
        self.asked.append(iterations)

    def staged(self, matrix: Any, first: int = 1) -> Iterator[Any]:
        for at in range(first, self.iterations + 1):
            # everyone gets one probability; it is the nearer to the base rate, the nearer `at` is to `best`
            away = 0.1 + abs(at - self.best) / 200 if at < self.dip else 0.1 - at / 1_000
            yield np.full(len(matrix), 0.21 + away)


class Script:
    """A trainer that returns scripted models, and keeps what it was asked for."""

    def __init__(self, *models: Scripted) -> None:
        self._left = iter(models)
        self.asked: list[dict[str, Any]] = []

    def grow(self, family: str, parameters: Any, train: Sample, valid: Sample, **options: Any) -> Scripted:
        self.asked.append({"parameters": parameters, "train": train, "valid": valid, **options})
        return next(self._left)


def scripted(data: TrainingData, *models: Scripted, **more: Any) -> tuple[Search, Tried, Script]:
    spec = model_spec(
        horizon_days=20,
        training={"every_months": 1, "as_of_count": 6},
        candidates=[{"family": "hist_gradient_boosting", "grid": [EAGER], "patience": 10}],
        **more,
    )
    trainer = Script(*models)
    search = Search(cast("Ports", SimpleNamespace(trainer=trainer)), spec, "hist_gradient_boosting", data)
    return search, search.validate(Setting(EAGER, 6), 1.0, 10), trainer


def test_folds_that_stop_before_another_is_at_its_best_grow_on_to_there() -> None:
    models = Scripted(4, 14), Scripted(33, 43), Scripted(21, 31)
    _, tried, _ = scripted(months(), *models)
    assert [one.asked for one in models] == [[35], [], [35]]
    assert tried.iterations == 20  # of 5, 10 ... 35 the one of least mean loss, near the middle model's best
    assert [float(raw[0]) for raw in np.split(tried.columns()["raw"], 3)] == pytest.approx([0.39, 0.375, 0.315])


def test_while_the_last_number_looked_at_is_the_best_all_folds_grow_on() -> None:
    models = Scripted(4, 14, dip=30), Scripted(33, 43, dip=30), Scripted(21, 31, dip=30)
    _, tried, _ = scripted(months(), *models)
    assert [one.asked for one in models] == [[35, 45, 55, 60], [45, 55, 60], [35, 45, 55, 60]]
    assert tried.iterations == 60 == EAGER["max_iter"]


@pytest.mark.parametrize("imbalance", ["none", "balanced"])
def test_each_fold_stops_by_the_rows_of_its_own_date_as_they_count_there(imbalance: str) -> None:
    random, plain = np.random.default_rng(4), months()
    data = replace(plain, fit_weights=random.uniform(1, 2, 2_400), valid_weights=random.uniform(3, 4, 2_400))
    search, _, trainer = scripted(data, *(Scripted(20, 30) for _ in range(3)), imbalance=imbalance)
    for fold, asked in zip(search.folds, trainer.asked, strict=True):
        for given, rows, counts in (
            (asked["train"], fold.train, data.fit_counts),
            (asked["valid"], fold.valid, data.valid_counts),
        ):
            assert np.array_equal(given.matrix, data.matrix[rows])
            assert np.array_equal(given.labels, data.labels[rows])
            even = np.where(data.labels[rows] == 1, search.balance.positive, search.balance.negative)
            assert np.allclose(given.weights, counts[rows] * (even if imbalance == "balanced" else 1))
        assert (asked["patience"], asked["parameters"]) == (10, EAGER)


def test_a_number_of_dates_that_leaves_a_fold_one_outcome_only_is_not_tried() -> None:
    data = months()
    may = data.as_of == np.datetime64("2025-05-01")
    data = replace(data, labels=np.where(may, 0, data.labels).astype(np.int8))
    training = {"newest": [1, 3]}
    _, some = found(data, "hist_gradient_boosting", {"training": training}, grid=[EAGER])
    assert ([trial.setting.dates for trial in some.trials], some.untried) == ([3], 1)
    with pytest.raises(EvidenceError, match=r"the newest 1 as-of dates .* Raise training.newest"):
        found(data, "logistic_regression", {"training": {"newest": [1]}}, grid=[{"C": 1.0}])


def test_what_the_budget_does_not_pay_for_is_left_untried_and_counted() -> None:
    grid = [{"C": 0.01}, {"C": 0.1}, {"C": 1.0}]
    _, poor = found(months(), "logistic_regression", {"training": {"cpu_seconds": 1e-6}}, grid=grid)
    assert (poor.untried, [trial.setting.parameters for trial in poor.trials]) == (2, grid[:1])
    _, rich = found(months(), "logistic_regression", grid=grid)
    assert (rich.untried, len(rich.trials)) == (0, 3)
    assert poor.cpu_seconds < rich.cpu_seconds < 700


@pytest.mark.parametrize(
    ("family", "setting"), [("logistic_regression", {"C": 1.0}), ("random_forest", {"n_estimators": 20})]
)
def test_balanced_classes_are_put_right_before_they_are_held_against_others(
    family: str, setting: dict[str, Any]
) -> None:
    data = months(0.05)
    _, plain = found(data, family, grid=[setting])
    search, even = found(data, family, {"imbalance": "balanced"}, grid=[setting])
    positives = int(data.labels.sum())
    assert search.balance.offset == pytest.approx(np.log((2_400 - positives) / positives))
    # the raw probabilities are those of a world in which half convert; the loss is that of the real one
    assert even.best.columns()["raw"].mean() > 3 * plain.best.columns()["raw"].mean()
    assert even.best.loss == pytest.approx(plain.best.loss, rel=0.15)


def test_folds_lie_behind_what_they_are_trained_on_by_the_horizon() -> None:
    search, _ = found(months(), "logistic_regression", grid=[{"C": 1.0}])
    data = months()
    assert len(search.folds) == 3
    for fold in search.folds:
        last = data.as_of[fold.train].max()
        assert (fold.day - last).astype(int) >= 20 + 7
    assert search.folds[-1].day.astype(date) == date(2025, 6, 1)
