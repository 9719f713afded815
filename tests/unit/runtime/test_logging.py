"""What the log says of an error: enough to repair it, and nothing of a row."""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError

from propensity.adapters.duckdb_sql import DuckDbSql
from propensity.kernel.errors import BadInputError, PropensityError, RetryableError, SqlError
from propensity.runtime.logging import allowed, described, told_safely

PERSON = "anna.example@example.org"


def caught(raised: Exception) -> Exception:
    try:
        raise raised
    except Exception as error:  # noqa: BLE001 - whatever was given
        return error


def test_our_own_error_is_told_as_it_is() -> None:
    error = caught(BadInputError("sales.csv: line 3: price: expected a number"))
    assert told_safely(error) is error


def test_a_foreign_error_is_told_by_class_and_place() -> None:
    told = str(told_safely(caught(ValueError(f"could not convert {PERSON}"))))
    assert told.startswith("ValueError at test_logging.py:")
    assert PERSON not in told


@pytest.mark.parametrize(
    ("code", "shown"), [("AccessDeniedException", True), ("AccessDenied", True), ("ValidationException", False)]
)
def test_an_aws_error_is_told_by_code_and_operation(code: str, shown: bool) -> None:
    error = ClientError({"Error": {"Code": code, "Message": "about arn:aws:states:x"}}, "StartExecution")
    told = str(told_safely(caught(error)))
    assert told.startswith(f"{code} when calling StartExecution")
    assert ("arn:aws:states:x" in told) == shown


def test_the_engine_s_text_is_kept_of_the_sql_and_left_out_of_rows() -> None:
    with DuckDbSql() as sql:
        with pytest.raises(SqlError, match="nowhere"):
            sql.execute("select nowhere from range(3)")
        with pytest.raises(SqlError) as raised:
            sql.rows(f"select x::integer from (values ('{PERSON}')) t(x)")
    assert PERSON not in str(raised.value)
    assert PERSON in raised.value.text


def test_a_description_says_where_and_whether_to_retry() -> None:
    said = described(caught(RetryableError("again")))
    assert (said["error"], said["retryable"]) == ("RetryableError", True)
    assert "caught" in str(said["where"])
    assert not PropensityError.retryable


def test_only_plain_values_of_allowed_keys_are_logged() -> None:
    assert allowed({"model": "buy", "rows": 3, "customer_ids": [PERSON], "run": {"a": PERSON}, "email": PERSON}) == {
        "model": "buy",
        "rows": 3,
    }


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        (f"sales/tenant_id=t1/{PERSON}.csv", "sales/tenant_id=t1/sha256-"),
        ("sales/tenant_id=t1/Doe, Jane: mail; new/May 2026.csv.gz", "sales/tenant_id=t1/sha256-"),
        (f"{PERSON}/lost.csv", "sha256-"),
        (f"{PERSON}/tenant_id=t1/lost.csv", "sha256-"),
    ],
)
def test_a_landed_files_name_is_not_logged(key: str, shown: str) -> None:
    event = {"Records": [{"messageId": "m", "body": json.dumps({"detail": {"object": {"key": key}}})}]}
    error = caught(BadInputError(f"landing {key}, version v1: line 3: price: expected a number"))
    told = told_safely(error, event)
    assert isinstance(told, BadInputError)
    assert str(told).startswith(f"landing {shown}")
    assert str(told).endswith(", version v1: line 3: price: expected a number")
    assert "Jane" not in str(told)
    assert PERSON not in str(told)


def test_a_landed_files_name_is_not_logged_without_its_event_either() -> None:
    told = told_safely(caught(BadInputError(f"sales/tenant_id=t1/Jane Doe/{PERSON}.csv: line 3: mend it")))
    assert str(told).startswith("sales/tenant_id=t1/sha256-")
    assert str(told).endswith(".csv: line 3: mend it")


def test_keys_of_the_lake_are_logged_as_they_are() -> None:
    key = "bronze/sales/tenant_id=t1/ingest_date=2026-01-02/0123.c1.0.0.parquet"
    assert str(told_safely(caught(BadInputError(f"{key}: no whole file")))) == f"{key}: no whole file"
