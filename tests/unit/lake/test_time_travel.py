"""Which past of Silver an event may ask for."""

from __future__ import annotations

from typing import Any

import pytest

from propensity.kernel.errors import BadInputError
from propensity.lake.domain.time_travel import SilverAt


def test_who_asks_for_nothing_gets_the_newest_and_the_runs_usual_name() -> None:
    newest = SilverAt.parse({"model": "m"})
    assert (newest, newest.said(), newest.name()) == (SilverAt(), None, None)


def test_a_time_and_versions_are_said_as_they_were_asked_and_name_the_run() -> None:
    then = SilverAt.parse({"silver_as_of_time": "2025-07-01T02:00:00+02:00"})
    assert SilverAt.parse(then.said() or {}) == then
    versions = SilverAt.parse({"silver_versions": {"b": 2, "a": 0}})
    assert versions.said() == {"silver_versions": {"a": 0, "b": 2}}
    assert versions.name() == SilverAt.parse({"silver_versions": {"a": 0, "b": 2}}).name()
    names = {then.name(), versions.name(), SilverAt.parse({"silver_versions": {"a": 1, "b": 2}}).name()}
    assert len(names) == 3


@pytest.mark.parametrize(
    "asked",
    [
        {"silver_as_of_time": "2025-07-01T00:00:00"},
        {"silver_as_of_time": "yesterday"},
        {"silver_as_of_time": 1},
        {"silver_versions": {}},
        {"silver_versions": [1]},
        {"silver_versions": {"sales": -1}},
        {"silver_versions": {"sales": True}},
        {"silver_as_of_time": "2025-07-01T00:00:00Z", "silver_versions": {"sales": 1}},
    ],
)
def test_anything_else_is_refused_by_its_field(asked: dict[str, Any]) -> None:
    with pytest.raises(BadInputError, match=r"silver_.*expected"):
        SilverAt.parse(asked)
