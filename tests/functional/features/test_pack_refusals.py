"""A pack's mistake is refused where the pack is loaded, with file, field and remedy, and does not run silently."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from propensity.kernel.errors import ContractError, EvidenceError, PackError
from propensity.pack.current import contract_of, pack_info, training_definition
from propensity.pack.domain.definition import parse_definition
from tests.kit.drops import column, contract
from tests.kit.shop import DAY, FILES, GROUP, MODEL, TENANTS, Shop, orders

ORDERS, HISTORY, REORDER = "contracts/orders.yaml", "features/history.yaml", "models/reorder.yaml"


@contextmanager
def refused(kind: type[Exception], *parts: str) -> Iterator[None]:
    with pytest.raises(kind) as raised:
        yield
    for part in parts:
        assert part in str(raised.value), str(raised.value)


def with_orders(folder: Path, *columns: dict[str, Any], **custom: Any) -> Shop:
    text = contract("orders", "event", column("number", primaryKey=True), column("customer"), *columns, **custom)
    made = Shop(folder)
    made.pack_files[ORDERS] = text
    return made


def test_a_key_that_stands_twice_is_refused_with_both_lines(tmp_path: Path) -> None:
    made = Shop(tmp_path)
    made.pack_files[ORDERS] = FILES[ORDERS].replace("version: 1.0.0\n", "version: 1.0.0\nversion: 1.0.1\n")
    line = made.pack_files[ORDERS].splitlines().index("version: 1.0.1") + 1
    with refused(ContractError, "shop/contracts/orders.yaml", f"line {line}: 'version'", f"first in line {line - 1}"):
        contract_of(made, "orders")
    made.pack_files["pack.yaml"] += "buckets: 8\n"
    with refused(PackError, "shop/pack.yaml", "'buckets' stands there twice", "keep one"):
        pack_info(made)


def test_bounds_that_leave_no_value_are_refused(tmp_path: Path) -> None:
    made = with_orders(tmp_path, column("pieces", "integer", logicalTypeOptions={"minimum": 9, "maximum": 1}))
    with refused(ContractError, "pieces: minimum 9 is above maximum 1", "swap or correct"):
        contract_of(made, "orders")


def test_a_pack_of_another_name_than_its_folder_is_refused(tmp_path: Path) -> None:
    made = Shop(tmp_path)
    made.pack_files["pack.yaml"] = FILES["pack.yaml"].replace("name: shop", "name: store")
    with refused(PackError, "name is 'store', expected 'shop' as the folder says"):
        pack_info(made)


def test_a_dataset_without_partition_key_is_refused_where_rows_are_spread_by_entity(tmp_path: Path) -> None:
    made = Shop(tmp_path)
    made.pack_files["pack.yaml"] = FILES["pack.yaml"].replace("partition_key: tenant", "partition_key: entity")
    with refused(ContractError, "partitionKey is missing", "add partitionKey with the column of the customer"):
        contract_of(made, "orders")


def test_a_row_known_before_it_happened_is_refused(tmp_path: Path) -> None:
    with refused(ContractError, "lagDays is -2", "expected 0 or more"):
        contract_of(with_orders(tmp_path, knownAt={"lagDays": -2}), "orders")


@pytest.mark.parametrize(
    "sql", ["from orders", "from orders where note <> 'outcome.orders'", "from orders -- outcome.x"]
)
def test_a_target_that_reads_no_outcomes_is_refused(tmp_path: Path, sql: str) -> None:
    target = {"description": "d", "sql": f"select distinct tenant_id, customer {sql}"}
    with refused(PackError, "shop/models/reorder.yaml: target: reads no outcome.<dataset>", "read the events"):
        training_definition(Shop(tmp_path).told(target=target), "reorder")


@pytest.mark.parametrize("sql", ["from outcome.orders", 'from "outcome"."orders"', "from OUTCOME . orders"])
def test_a_target_may_write_outcomes_in_any_way(tmp_path: Path, sql: str) -> None:
    target = {"description": "d", "sql": f"select distinct tenant_id, customer {sql}"}
    assert training_definition(Shop(tmp_path).told(target=target), "reorder").model.target.sql.endswith(sql)


@pytest.mark.parametrize(
    ("feature", "said"),
    [
        ("{name: days_since, description: d, default: none}", "default is 'none', expected a number"),
        ("{name: days_since, description: d, dtype: category, categories: [a], default: b}", "expected one of a"),
        ("{name: days_since, description: d, units: a}", "features.days_since.units"),
    ],
)
def test_a_wrong_field_of_a_feature_names_the_feature(feature: str, said: str) -> None:
    files = FILES | {HISTORY: GROUP.replace("{name: days_since, description: d}", feature)}
    with refused(PackError, "shop/features/history.yaml", "days_since", said):
        parse_definition(files, "reorder", where="shop", entity="customer")


def filled(made: Shop) -> Shop:
    for tenant in TENANTS[:2]:
        made.land("orders", tenant, orders(tenant, customers=40))
    made.promote()
    return made


def test_text_where_a_number_is_due_names_group_and_feature(tmp_path: Path) -> None:
    made = filled(Shop(tmp_path))
    made.pack_files["features/history.sql"] = FILES["features/history.sql"].replace(
        "date_diff('day', max(day), as_of())", "'day ' || max(day)"
    )
    with refused(PackError, "feature group history: days_since is VARCHAR, expected a number", "features/history.sql"):
        made.prepare("reorder", f"{DAY}")


def test_history_that_is_known_from_its_arrival_only_is_named_as_the_cause(tmp_path: Path) -> None:
    made = with_orders(tmp_path)
    with refused(EvidenceError, "no training rows", "orders count from their arrival", "Give the contract knownAt"):
        filled(made).train("reorder", f"{DAY}")


def test_a_target_that_everybody_reaches_is_refused_with_the_counts(tmp_path: Path) -> None:
    everybody = "select distinct tenant_id, customer from orders union select tenant_id, customer from outcome.orders"
    made = filled(Shop(tmp_path)).told(target={"description": "d", "sql": everybody})
    with pytest.raises(EvidenceError, match=r"(\d+) of \1 training rows are positive; both kinds are needed"):
        made.train("reorder", f"{DAY}")


def test_the_outcomes_of_a_state_are_refused_by_name(tmp_path: Path) -> None:
    made = filled(Shop(tmp_path))
    made.pack_files["contracts/contacts.yaml"] = contract(
        "contacts", "state", column("contact", primaryKey=True), column("customer"), knownAt={"column": "day"}
    )
    target = {"description": "d", "sql": "select distinct tenant_id, customer from outcome.contacts"}
    made.told(target=target)
    made.land("contacts", "north", [("a", "C00001", date(2025, 1, 1))])
    made.promote()
    with refused(PackError, "model reorder, target", "a state dataset has no outcomes (contacts)", "history.contacts"):
        made.prepare("reorder", f"{DAY}")


def test_the_models_of_the_kit_have_no_such_mistake(tmp_path: Path) -> None:
    made = Shop(tmp_path)
    assert yaml.safe_load(made.pack_files[REORDER]) == MODEL
    assert [contract_of(made, name).dataset for name in pack_info(made).datasets] == ["orders", "contacts"]
