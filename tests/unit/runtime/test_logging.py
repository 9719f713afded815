"""What the log says of an error: enough to repair it, and nothing of a row."""

from __future__ import annotations

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
