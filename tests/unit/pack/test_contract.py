"""Errors of a contract name file and field, so that a misspelling cannot switch a rule off."""

from __future__ import annotations

import pytest

from propensity.kernel.errors import ContractError
from propensity.pack.domain.contract import KnownAt, Occurrence
from propensity.pack.domain.contract_parser import parse_contract
from tests.kit.drops import ORDERS


def changed(old: str, new: str) -> str:
    assert old in ORDERS
    return ORDERS.replace(old, new, 1)


def custom(*properties: str) -> str:
    lines = "".join(f"\n      - {{property: {one}}}" for one in properties)
    return changed("- {property: eventTime, value: ordered_at}", "- {property: eventTime, value: ordered_at}" + lines)


def test_a_contract_says_what_the_dataset_is() -> None:
    contract = parse_contract(ORDERS, where="orders.yaml")

    assert (contract.dataset, contract.version, contract.kind) == ("orders", "1.2.0", "event")
    assert contract.primary_key == ("order_id",)
    assert contract.known_at == KnownAt()
    assert [column.duckdb_type for column in contract.columns] == [
        "VARCHAR", "VARCHAR", "VARCHAR", "TIMESTAMPTZ", "BIGINT", "DOUBLE", "VARCHAR",
    ]  # fmt: skip
    assert contract.column("order_id").required
    assert contract.column("channel").allowed == ("web", "shop")


def test_custom_properties_say_what_the_standard_has_no_field_for() -> None:
    contract = parse_contract(
        custom(
            "knownAt, value: {lagDays: 2}",
            "versionColumn, value: pieces",
            "partitionKey, value: customer",
            "occurrence, value: {column: pieces, within: [order_id, note]}",
            "text, value: {delimiter: ;}",
        ),
        where="orders.yaml",
    )

    assert contract.known_at == KnownAt(lag_days=2)
    assert (contract.version_column, contract.partition_key) == ("pieces", "customer")
    assert contract.occurrence == Occurrence("pieces", ("order_id", "note"))
    assert "pieces" not in [column.name for column in contract.file_columns]
    assert (contract.text.encoding, contract.text.delimiter) == ("utf-8", ";")


def quality(rule: str) -> str:
    return changed("    properties:\n", f"    quality: [{rule}]\n    properties:\n")


def severity(column: str, value: str) -> str:
    given = f"customProperties: [{{property: severity, value: {value}}}]"
    return changed(f"{{name: {column},", f"{{name: {column}, {given},")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: [", "orders.yaml: not YAML"),
        ("- 1", "orders.yaml: top: Input should be a valid dictionary"),
        (changed("kind: DataContract", "kind: Other"), "kind 'Other'"),
        (changed("apiVersion: v3.1.0", "apiVersion: v2.2.2"), "apiVersion 'v2.2.2'; expected DataContract, v3.x"),
        (changed("version: 1.2.0", "version: '1.2'"), "version is '1.2', expected major.minor.patch"),
        (changed("schema:", "schemas:"), "schemas: Extra inputs are not permitted"),
        (changed("required: true", "requird: true"), "schema[0].properties[3].requird: Extra inputs are not permitted"),
        (changed("unique: true", "unique: perhaps"), "schema[0].properties[0].unique: Input should be a valid boolean"),
        (changed("- name: orders", "- name: Orders 2"), "schema[0].name is 'Orders 2'"),
        (changed("logicalType: number", "logicalType: decimal"), "amount: logicalType is 'decimal', expected one of"),
        (changed("name: note", "name: _note"), "_note: expected a name of letters"),
        (changed("name: note", "name: bucket"), "in no case of letters bucket or file_row_number"),
        (changed("name: note", "name: CUSTOMER"), "CUSTOMER: 'customer' already stands for customer"),
        (changed("primaryKey: true, ", ""), "no property has primaryKey: true"),
        (changed("minimum: 1,", "minLength: 1,"), "pieces: logicalTypeOptions minLength do not apply to integer"),
        (changed("minimum: 1,", "minimum: one,"), "pieces: minimum is 'one', expected a number"),
        (changed("maxLength: 200", "maxLength: -1"), "note: maxLength is -1, expected a whole number from 0"),
        (changed("maxLength: 200", "pattern: '('"), "note: pattern: "),
        (changed("maxLength: 200", "format: yyyy"), "note: format of a string is 'yyyy', expected vin"),
        (changed("timestamp, required: true", "timestamp"), "ordered_at: eventTime needs a required date or timestamp"),
        (changed("metric: invalidValues", "metric: nullValues"), "channel: quality: metric nullValues: unit is None"),
        (changed("metric: invalidValues", "metric: duplicateValues"), "channel: quality: only library metrics"),
        (changed("schema:", "slaProperties: [{property: freshness, value: 2, unit: d}]\nschema:"), "element orders."),
        (
            changed(
                "schema:", "slaProperties: [{property: freshness, value: 2, unit: d, element: orders.note}]\nschema:"
            ),
            "slaProperties: 'note' is no date or timestamp here",
        ),
        (quality("{type: sql, query: select 1}"), "schema[0].quality[0]: type 'sql'"),
        (
            quality("{type: custom, engine: duckdb, implementation: pieces > 1}"),
            "schema[0].quality[0]: expected a name",
        ),
        (quality("{metric: rowCount}"), "schema[0].quality[0]: expected mustBe, mustBeBetween"),
        (quality("{metric: rowCount, mustBe: 1, severity: fatal}"), "severity is 'fatal', expected one of"),
        (severity("note", "{patern: warn}"), "note: severity of patern; expected some of required, type"),
        (severity("ordered_at", "{type: warn}"), "ordered_at: type cannot warn only: Silver needs the value"),
        (changed("[integer_text]", "[phone]"), "customer: normalise phone and callingCode (like '44') go together"),
        (
            changed("{name: note,", "{name: note, relationships: [{to: customers}],"),
            "note: relationships[0]: expected type foreignKey, to `<dataset>.<column>`",
        ),
        (changed("[web, shop]", "[]"), "channel: quality: arguments.validValues is empty"),
        (changed("property: normalise", "property: normalize"), "customer: customProperties: unknown normalize"),
        (changed("[integer_text]", "[shout]"), "customer: normalise is ('shout',) on string"),
        (changed("property: kind, value: event", "property: kind, value: fact"), "kind is 'fact', expected event or"),
        (changed("property: kind, value: event", "property: kind, value: state"), "validFrom is missing; a state"),
        (changed("value: ordered_at", "value: sold_at"), "custom property eventTime names 'sold_at'"),
        (custom("knownAt, value: soon"), "custom property knownAt is 'soon', expected {column: …}"),
        (custom("knownAt, value: {column: amount}"), "amount: knownAt needs a required date or timestamp"),
        (custom("occurrence, value: {column: note}"), "custom property occurrence is {'column': 'note'}, expected"),
        (custom("occurrence, value: {column: nr, within: [note]}"), "occurrence names 'nr', which is not a property"),
        (custom("occurrence, value: {column: note, within: [note]}"), "note: an occurrence needs logicalType integer"),
        (
            custom("text, value: {encoding: ebcdic}"),
            "custom property text: encoding is 'ebcdic', expected one of utf-8",
        ),
        (custom("sla, value: 1"), "schema[0].customProperties: unknown sla; expected some of eventTime"),
    ],
)
def test_an_error_names_the_file_and_the_field(text: str, told: str) -> None:
    with pytest.raises(ContractError) as caught:
        parse_contract(text, where="orders.yaml")
    assert str(caught.value).startswith("orders.yaml: ")
    assert told in str(caught.value)


def test_two_columns_cannot_claim_one_header() -> None:
    claims = "{name: note, customProperties: [{property: sourceNames, value: [Customer]}]"
    with pytest.raises(ContractError, match="note: 'customer' already stands for customer"):
        parse_contract(changed("{name: note", claims), where="orders.yaml")


def test_a_bound_on_a_date_is_iso_text_or_a_yaml_date() -> None:
    bounded = "ordered_at, logicalType: timestamp, logicalTypeOptions: {minimum: 2020-01-01}"
    contract = parse_contract(changed("ordered_at, logicalType: timestamp", bounded), where="orders.yaml")
    assert contract.column("ordered_at").minimum == "2020-01-01"
