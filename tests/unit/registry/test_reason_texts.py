"""Sentences made once per shown value are those that each row would get by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from propensity.pack.domain.feature_spec import Feature
from propensity.registry.domain.reason_texts import Sentences, directed, sentence, top_reasons
from propensity.registry.domain.reasons import Explained

FEATURES = (
    Feature(name="days", description="Days", reason="{value:.0f} days; typical {typical:.0f}"),
    Feature(name="spend", description="Spend", reason="{value:,.2f}", shown_as="expm1"),
    Feature(name="odds", description="Odds", reason="odds {value:.1f}", shown_as="exp"),
    Feature(name="plain", description="Plain"),
    Feature(name="share", description="Share", reason="{value:.1%}"),
    Feature(name="leased", description="Leased", dtype="boolean", reason="leased: {value}"),
    Feature(name="fuel", description="Fuel", dtype="category", categories=("petrol", "diesel"), reason="{value}"),
)
WIDTH = len(FEATURES)
TYPICAL = np.array([3.0, 0.5, np.nan, 1.0, 0.25, 1.0, 0.0])
# halves are on the edge between two shown values; so are their logarithms
HALVES = st.integers(-9, 9).map(lambda number: number / 2)
LOGS = st.integers(0, 400).map(lambda number: float(np.log1p(np.float32(number / 200))))
ODD = st.sampled_from([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e30, -1e30, 88.0, 200.0, 0.5000001, 2.4999998])
VALUES = st.one_of(HALVES, LOGS, ODD, st.floats(-1e4, 1e4, width=32))


def by_row(explained: Explained, matrix: Any, row: int, count: int) -> list[tuple[str, float, str]]:
    moved = explained.contributions[row]
    order = np.argsort(-np.abs(moved), kind="stable")[:count]
    return [
        (
            FEATURES[place].name,
            float(moved[place]),
            directed(sentence(FEATURES[place], float(matrix[row, place]), float(TYPICAL[place])), float(moved[place])),
        )
        for place in order
        if abs(moved[place]) >= explained.least
    ]


@settings(max_examples=150, deadline=None)
@given(st.data(), st.integers(0, 40), st.integers(1, WIDTH))
def test_reasons_of_many_rows_are_those_of_each_row(data: st.DataObject, rows: int, count: int) -> None:
    matrix = data.draw(arrays(np.float32, (rows, WIDTH), elements=VALUES.map(lambda one: float(np.float32(one)))))
    moved = data.draw(arrays(np.float64, (rows, WIDTH), elements=st.sampled_from([0.0, 5e-5, 0.2, -0.2, 1.5, -3.0])))
    earlier = Sentences()
    earlier.number("said before")
    for start, stop in ((0, rows // 2), (rows // 2, rows)):
        explained, part = Explained("exact", moved[start:stop], TYPICAL), matrix[start:stop]
        found = top_reasons(explained, FEATURES, part, count, earlier)
        for row in range(stop - start):
            assert list(found.of_row(row, FEATURES)) == by_row(explained, part, row, count)
    assert len(set(earlier.texts)) == len(earlier.texts)


def test_a_sentence_is_made_once_per_shown_value(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[float] = []

    def counting(feature: Feature, value: float, typical: float) -> str:
        made.append(value)
        return sentence(feature, value, typical)

    monkeypatch.setattr("propensity.registry.domain.reason_texts.sentence", counting)
    matrix = np.zeros((10_000, WIDTH), dtype=np.float32)
    matrix[:, 0] = np.random.default_rng(1).uniform(0, 30, 10_000)
    moved = np.zeros((10_000, WIDTH))
    moved[:, 0] = 1
    top_reasons(Explained("exact", moved, TYPICAL), FEATURES, matrix, 3)
    assert 31 <= len(made) <= 40  # one per whole number of days, and values next to a half by themselves


def test_later_rows_take_the_sentences_of_earlier_ones_and_another_typical_value_has_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[tuple[float, float]] = []

    def counting(feature: Feature, value: float, typical: float) -> str:
        made.append((value, typical))
        return sentence(feature, value, typical)

    monkeypatch.setattr("propensity.registry.domain.reason_texts.sentence", counting)
    matrix = np.zeros((3, WIDTH), dtype=np.float32)
    matrix[:, 0] = [4.0, 5.0, np.nan]
    moved = np.zeros((3, WIDTH))
    moved[:, 0] = [1.0, -1.0, 1.0]
    kept = Sentences()
    for typical in (3.0, 3.0, np.nan, np.nan, 8.0):
        explained = Explained("exact", moved, np.array([typical, *TYPICAL[1:]]))
        found = top_reasons(explained, FEATURES, matrix + 0.01, 3, kept)  # other values that read the same
        for row in range(3):
            said = directed(sentence(FEATURES[0], float(matrix[row, 0]), typical), moved[row, 0])
            assert list(found.of_row(row, FEATURES)) == [("days", moved[row, 0], said)]
    assert len(made) == 9


def test_with_too_many_sentences_to_keep_they_are_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("propensity.registry.domain.reason_texts._KEPT", 2)
    matrix = np.zeros((6, WIDTH), dtype=np.float32)
    matrix[:, 0] = np.arange(6)
    moved = np.zeros((6, WIDTH))
    moved[:, 0] = 1.0
    explained, kept = Explained("exact", moved, TYPICAL), Sentences()
    for _ in range(2):
        found = top_reasons(explained, FEATURES, matrix, 3, kept)
        assert [list(found.of_row(row, FEATURES)) for row in range(6)] == [
            by_row(explained, matrix, row, 3) for row in range(6)
        ]
    assert len(kept.said) == 2


def test_a_forests_contributions_are_in_probability_and_have_a_cut_off_of_their_own() -> None:
    moved = np.zeros((1, WIDTH))
    moved[0, 0] = 2e-5
    matrix = np.ones((1, WIDTH), dtype=np.float32)
    assert not list(top_reasons(Explained("exact", moved, TYPICAL), FEATURES, matrix, 3).of_row(0, FEATURES))
    forest = Explained("path", moved, TYPICAL, "probability")
    assert len(list(top_reasons(forest, FEATURES, matrix, 3).of_row(0, FEATURES))) == 1
