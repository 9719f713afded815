"""Identifiers as destinations take them: a table of values, each with its source."""

from __future__ import annotations

import hashlib

import pytest

from propensity.adapters.duckdb_sql import DuckDbSql
from propensity.delivery.domain.identifiers import normalised, written_value
from propensity.kernel.sql_text import text
from propensity.pack.domain.destination_spec import DestinationColumn, Normalise

GOOGLE = "Google, Data Manager API, format user data"
META = "Meta, customer list custom audiences, hashing and normalisation"
ITU = "ITU-T E.164"
OURS = "what a person types"

VECTORS: list[tuple[Normalise, str, str | None, str]] = [
    ("email_google", "Jefferson.Loves.hiking@gmail.com", "jeffersonloveshiking@gmail.com", GOOGLE),
    ("email_google", "jeffersonloveshiking+ads@googlemail.com", "jeffersonloveshiking@googlemail.com", GOOGLE),
    ("email_google", " Cloudy.SanFrancisco+x@Example.com ", "cloudy.sanfrancisco+x@example.com", GOOGLE),
    ("email_google", "a.b+c@gmail.com.example.org", "a.b+c@gmail.com.example.org", GOOGLE),
    ("email_google", "+x@gmail.com", None, "nothing is left of the local part"),
    ("email", " John_Smith@Gmail.com ", "john_smith@gmail.com", META),
    ("email", "John.Smith+x@gmail.com", "john.smith+x@gmail.com", META),
    ("email", "no address", None, OURS),
    ("email", "two@at@example.org", None, OURS),
    ("email", "a@localhost", None, OURS),
    ("email", "\u00a0ann@example.org\u200b", "ann@example.org", OURS),
    ("phone_e164", "+1 (650) 555-1212", "+16505551212", GOOGLE),
    ("phone_e164", "+49.151/2345-678", "+491512345678", ITU),
    ("phone_e164", "0151 2345678", None, "no country code"),
    ("phone_e164", "+0151 2345678", None, ITU),
    ("phone_e164", "+12345678901234567", None, "more than 15 digits, " + ITU),
    ("phone_digits", "+1 (616) 954-7888", "16169547888", META),
    ("phone_digits", "954-7888", None, META),
    ("postcode", " sw1a 1aa ", "SW1A1AA", OURS),
    ("name", "Mary Jane-O'Neil", "maryjaneoneil", META),
    ("name", "Zoë", "zoë", META),
    ("lower", "  ABC ", "abc", OURS),
    ("trim", "   ", None, OURS),
]


@pytest.mark.parametrize(("rule", "value", "wanted", "source"), VECTORS)
def test_a_value_is_normalised_as_its_destination_says(
    rule: Normalise, value: str, wanted: str | None, source: str
) -> None:
    with DuckDbSql() as sql:
        [(found,)] = sql.rows(f"select {normalised(text(value), rule)}")
        again = None if found is None else sql.rows(f"select {normalised(text(found), rule)}")[0][0]
    assert found == wanted, source
    # digits without a plus are no number any more; everything else stays as it is when it is normalised again
    assert again == wanted or rule == "phone_digits"


def test_a_hash_is_the_sha256_of_the_normalised_value_as_hex() -> None:
    column = DestinationColumn(name="Email", source="customers.email", normalise="email_google", hash="sha256")
    with DuckDbSql() as sql:
        [(found,)] = sql.rows(f"select {written_value(column, text('Cloudy.SanFrancisco@gmail.com'))}")
        [(nothing,)] = sql.rows(f"select {written_value(column, text('nobody'))}")
    assert found == hashlib.sha256(b"cloudysanfrancisco@gmail.com").hexdigest()
    assert nothing is None
