"""The feature that explains a change of place, for many rows at once as for each row by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from propensity.pack.domain.feature_spec import Feature
from propensity.registry.domain.movers import Movers, Past
from propensity.registry.domain.reason_texts import shown_by, statement_of
from propensity.registry.domain.reasons import Explained
from tests.unit.registry.test_reason_texts import FEATURES, TYPICAL, VALUES, WIDTH

LEASE = Feature(name="lease", description="Lease", reason="lease ends in {value:.0f} months; typical {typical:.0f}")


def by_row(now: Any, then: Any, values: Any, past: Past, row: int, least: float) -> tuple[str, float, str] | None:
    way = int(past.way[row])
    parts = (now[row] - then[row]) * way
    place = int(np.argmax(parts))
    if parts.sum() <= 0 or parts[place] < least:
        return None
    feature, value, before = FEATURES[place], float(values[row, place]), float(past.matrix[row, place])
    was, still = shown_by(feature)(before), shown_by(feature)(value)
    told = f"{was} before" if was != still else "hardly changed"
    arrow = "raises" if way > 0 else "lowers"
    return feature.name, parts[place] * way, f"{statement_of(feature)(value)}; {told} ({arrow} the score)"


@settings(max_examples=100, deadline=None)
@given(st.data(), st.integers(1, 30))
def test_movers_of_many_rows_are_those_of_each_row(data: st.DataObject, rows: int) -> None:
    values = VALUES.map(lambda one: float(np.float32(one)))
    matrix, earlier = (data.draw(arrays(np.float32, (rows, WIDTH), elements=values)) for _ in range(2))
    sizes = st.sampled_from([0.0, 5e-5, 0.2, -0.2, 1.5, -3.0])
    now, then = (data.draw(arrays(np.float64, (rows, WIDTH), elements=sizes)) for _ in range(2))
    way = data.draw(arrays(np.int8, rows, elements=st.sampled_from([-1, 1])))
    past, found = Past(earlier, way), Movers.none(rows + 2)
    explained = Explained("exact", now, TYPICAL)
    # the rows are some of more, as those of a tenant with a model of its own are
    found.find(np.arange(rows) + 2, explained, Explained("exact", then, TYPICAL), past, FEATURES, matrix)
    assert found.places[:2].tolist() == [-1, -1]
    assert not found.explained[:2].any()
    for row in range(rows):
        expected = by_row(now, then, matrix, past, row, explained.least)
        place = found.places[row + 2]
        assert found.explained[row + 2]
        if expected is None:
            assert place == -1
            continue
        told = FEATURES[place].name, found.changes[row + 2], found.sentences.texts[found.texts[row + 2]]
        assert told == (expected[0], pytest.approx(expected[1]), expected[2])


def said(now: float, then: float, way: int, feature: Feature = LEASE) -> str:
    found, past = Movers.none(1), Past(np.array([[then]], dtype=np.float32), np.array([way], dtype=np.int8))
    moved = Explained("exact", np.array([[float(way)]]), np.array([9.0]))
    still = Explained("exact", np.array([[0.0]]), np.array([9.0]))
    found.find(np.array([0]), moved, still, past, (feature,), np.array([[now]], dtype=np.float32))
    text: str = found.sentences.texts[found.texts[0]]
    return text


def test_the_sentence_says_what_is_and_what_was() -> None:
    assert said(4, 7, 1) == "lease ends in 4 months; 7 before (raises the score)"
    assert said(20, 2, -1) == "lease ends in 20 months; 2 before (lowers the score)"


def test_values_that_read_alike_are_not_said_twice() -> None:
    assert said(4.2, 3.8, 1) == "lease ends in 4 months; hardly changed (raises the score)"


def test_what_was_or_is_not_known_is_said() -> None:
    assert said(4, np.nan, 1) == "lease ends in 4 months; unknown before (raises the score)"
    assert said(np.nan, 4, -1) == "Lease: unknown; 4 before (lowers the score)"


@pytest.mark.parametrize(
    ("feature", "text"),
    [
        (Feature(name="x", description="Visits"), "Visits: 3.0; 1.0 before"),
        (
            Feature(name="x", description="Visits", reason="typical {typical:.0f}, here {value:.0f}"),
            "Visits: 3; 1 before",
        ),
        (Feature(name="x", description="Visits", reason="{value:.0f} visits"), "3 visits; 1 before"),
        (Feature(name="x", description="Leased", dtype="boolean", reason="leased: {value}"), "leased: yes; yes before"),
    ],
    ids=["no reason", "typical first", "no typical", "boolean"],
)
def test_every_form_of_a_reason_becomes_a_sentence(feature: Feature, text: str) -> None:
    expected = text.replace("yes before", "hardly changed")
    assert said(3, 1, 1, feature) == f"{expected} (raises the score)"


def test_a_feature_that_moved_the_score_the_other_way_explains_nothing() -> None:
    found, past = Movers.none(2), Past(np.zeros((2, 2), dtype=np.float32), np.array([1, 1], dtype=np.int8))
    features = (LEASE, Feature(name="other", description="Other"))
    now = Explained("exact", np.array([[-3.0, 3.5], [-3.0, 2.5]]), np.zeros(2))
    then = Explained("exact", np.zeros((2, 2)), np.zeros(2))
    found.find(np.arange(2), now, then, past, features, np.ones((2, 2), dtype=np.float32))
    # the second customer's features lowered the score, and a rise of the place is not theirs
    assert found.places.tolist() == [1, -1]
    assert found.explained.tolist() == [True, True]
