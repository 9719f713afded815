"""What a tenant's name may be, wherever one is read."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from propensity.ingest.domain.landing_keys import parse_landing_key, rejected_outputs
from propensity.kernel.errors import BadInputError
from propensity.kernel.tenant import parse_tenant
from propensity.tenants.domain.record import check_settings, record_prefix

THEN = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize("name", [".", "..", "unknown", "UNKNOWN", "", "a b", "é", "x" * 65, "a\n", "unknown\n"])
def test_what_is_no_tenant_is_refused_in_a_call_a_record_and_a_key(name: str) -> None:
    with pytest.raises(BadInputError, match="1 to 64 letters"):
        parse_tenant(name)
    with pytest.raises(BadInputError, match="1 to 64 letters"):
        record_prefix(name)
    key = f"sales/tenant_id={name}/a.csv"
    with pytest.raises(BadInputError):
        parse_landing_key(key, ("sales",), arrived=THEN)
    assert rejected_outputs(key, "c", THEN, ("sales",)).tenant_id is None


@pytest.mark.parametrize("name", ["a", "...", ".a", "unknown_1", "dealer-01.x", "x" * 64])
def test_other_names_are_tenants(name: str) -> None:
    assert parse_tenant(name) == name
    assert parse_landing_key(f"sales/tenant_id={name}/a.csv", ("sales",), arrived=THEN).tenant_id == name


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf"), 10**19, -(10**400)])
def test_a_setting_that_no_json_could_hold_is_refused(number: float) -> None:
    with pytest.raises(BadInputError, match="settings: limit: expected a finite number"):
        check_settings({"limit": number}, ())
    assert check_settings({"limit": 1.5, "on": True}, ()) == {"limit": 1.5, "on": True}
