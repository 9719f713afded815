"""Keys of the landing zone, and the names of what a file becomes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensity.ingest.domain.landing_keys import content_id, outputs, parse_landing_key, rejected_outputs
from propensity.kernel.errors import BadInputError

THEN = datetime(2026, 3, 1, 23, 59, tzinfo=UTC)
TEXT = st.text(max_size=20)


@pytest.mark.parametrize(
    ("key", "suffix"),
    [
        ("sales/tenant_id=t-1/a.csv", ".csv"),
        ("sales/tenant_id=t-1/2026/03/a b+c%20d.CSV.GZ", ".csv.gz"),
        ("sales/tenant_id=t-1/tenant_id=t2/a.parquet", ".parquet"),
    ],
)
def test_a_landing_key_names_dataset_tenant_and_kind(key: str, suffix: str) -> None:
    landed = parse_landing_key(key, ("sales",), arrived=THEN)
    assert (landed.dataset, landed.tenant_id, landed.suffix) == ("sales", "t-1", suffix)


@pytest.mark.parametrize("key", ["sales/a.csv", "sales/t1/a.csv", "x/tenant_id=t/a.csv", "sales/tenant_id=t/a.txt", ""])
def test_other_keys_are_refused_by_name(key: str) -> None:
    with pytest.raises(BadInputError, match="^" + key.replace(".", r"\.")):
        parse_landing_key(key, ("sales",), arrived=THEN)


@given(TEXT, TEXT, TEXT, TEXT, TEXT, TEXT)
def test_no_two_contents_share_an_id(a: str, b: str, c: str, d: str, e: str, f: str) -> None:
    assert (content_id(a, b, c, THEN) == content_id(d, e, f, THEN)) == ((a, b, c) == (d, e, f))


@given(TEXT)
def test_what_is_kept_of_a_refused_file_has_a_safe_name(key: str) -> None:
    out = rejected_outputs(key, "0" * 32, THEN, ("sales",))
    assert out.copy.startswith("quarantine/rejected/unknown/tenant_id=unknown/ingest_date=2026-03-01/" + "0" * 32)
    assert out.copy.isascii()
    assert len(out.copy.rsplit("/", 1)[1]) >= 1


def test_names_hold_the_contracts_version_and_the_day() -> None:
    landed = parse_landing_key("sales/tenant_id=t1/a.csv", ("sales",), arrived=THEN)
    assert outputs(landed, "c0ffee", "1.0.2", THEN).bronze == (
        "bronze/sales/tenant_id=t1/ingest_date=2026-03-01/c0ffee.c1.0.2.parquet"
    )
