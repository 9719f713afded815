"""Names in the register of landings, and the state of a file by all of its reports."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from propensity.ingest.domain.landing_keys import (
    entry_key,
    entry_of,
    is_first,
    outputs,
    parse_landing_key,
    parse_report_key,
    register_of,
    rejected_outputs,
    version_of,
)
from tests.kit.reports import file_standing as standing

THEN = datetime(2026, 3, 2, 4, tzinfo=UTC)
CONTENT = "0123456789abcdef" * 2
KEY = "orders/tenant_id=t1/2026/a.csv"


@pytest.mark.parametrize("after", [None, "1.9.0"])
def test_the_names_of_reports_and_quarantine_say_content_and_version(after: str | None) -> None:
    out = outputs(parse_landing_key(KEY, ["orders"], arrived=THEN), CONTENT, "1.10.0", THEN, after)
    for key in (out.report, out.quarantine, out.bronze):
        name = parse_report_key(key)
        assert name is not None
        assert (name.dataset, name.tenant_id, name.content, name.day) == ("orders", "t1", CONTENT, THEN.date())
        assert (name.version, name.refused) == ("1.10.0", False)


@pytest.mark.parametrize("version", [None, "1.10.0"])
def test_a_refusal_is_told_by_its_name_and_the_copy_is_no_report(version: str | None) -> None:
    out = rejected_outputs(KEY, CONTENT, THEN, ["orders"])
    name = parse_report_key(out.report(version))
    assert name is not None
    assert (name.content, name.version, name.refused) == (CONTENT, version, True)
    assert parse_report_key(out.copy) is None


def test_a_replay_writes_beside_what_stands_and_never_over_it() -> None:
    landed = parse_landing_key(KEY, ["orders"], arrived=THEN)
    first, replayed = (outputs(landed, CONTENT, "2.0.0", THEN, after) for after in (None, "1.0.0"))
    assert first.report == replayed.report
    assert not {first.bronze, first.quarantine} & {replayed.bronze, replayed.quarantine}


def test_entries_are_found_by_day_and_tenant() -> None:
    first = entry_key("orders", "t1", CONTENT, THEN.date())
    replay = entry_key("orders", "t1", CONTENT, THEN.date(), "1.9.0")
    nobodys = entry_key("orders", None, CONTENT, THEN.date())
    assert [is_first(key) for key in (first, replay, nobodys)] == [True, False, True]
    assert all(key.startswith(register_of(THEN.date())) for key in (first, replay, nobodys))
    assert [key.startswith(register_of(THEN.date(), "t1")) for key in (first, replay, nobodys)] == [True, True, False]
    assert not first.startswith(register_of(THEN.date(), "t"))
    assert not first.startswith(register_of(date(2026, 3, 1)))
    assert entry_of(first) == ("orders", CONTENT)


def test_versions_are_numbers() -> None:
    assert version_of("1.9.0") < version_of("1.10.0") < version_of("2.0.0")


def accepted(earlier: int, bronze: int, quarantine: int, known_from: str | None = None) -> dict[str, Any]:
    return {
        "status": "accepted",
        "rows_in": earlier + bronze + quarantine,
        "earlier": earlier,
        "bronze": bronze,
        "quarantine": quarantine,
        "known_from": known_from,
        "reasons": [{"column": "a"}] if quarantine else [],
    }


REFUSED = {"status": "rejected", "why": "no header"}


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ([accepted(0, 3, 0)], ("accepted", 3, 3, 0, 0, 0)),
        ([accepted(0, 2, 1)], ("accepted_in_part", 3, 2, 1, 0, 1)),
        ([accepted(0, 0, 3)], ("rejected", 3, 0, 3, 0, 1)),
        ([REFUSED], ("rejected", 0, 0, 0, 0, 1)),
        ([accepted(0, 1, 2), accepted(1, 2, 0, "then")], ("accepted", 3, 3, 0, 2, 0)),
        ([accepted(0, 1, 2), REFUSED], ("accepted_in_part", 3, 1, 2, 0, 2)),
        ([REFUSED, REFUSED, accepted(0, 2, 1, "then")], ("accepted_in_part", 3, 2, 1, 2, 1)),
    ],
)
def test_how_a_file_stands(history: list[dict[str, Any]], expected: tuple[Any, ...]) -> None:
    found = standing(history)
    assert (found.status, found.rows_in, found.bronze, found.quarantine, found.healed, len(found.why)) == expected
