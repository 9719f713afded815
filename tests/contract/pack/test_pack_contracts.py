"""Every contract that ships loads, and the engine takes its rules."""

from __future__ import annotations

import pytest

from propensity.adapters.duckdb_sql import DuckDbSql
from propensity.ingest.domain.landing_keys import Landed
from propensity.ingest.files.checking import check_contract
from propensity.pack.domain.contract_parser import parse_contract
from propensity.pack.domain.definition import parse_pack
from propensity.runtime.pack_files import pack_files, pack_names

CONTRACTS = [
    (pack, path)
    for pack in pack_names()
    for path in pack_files(pack)
    if path.startswith("contracts/") and path.endswith(".yaml")
]


@pytest.mark.parametrize(("pack", "path"), CONTRACTS)
def test_a_contract_of_a_pack_loads_and_its_rules_run(pack: str, path: str) -> None:
    contract = parse_contract(pack_files(pack)[path], where=f"{pack}/{path}")

    assert path == f"contracts/{contract.dataset}.yaml"
    with DuckDbSql() as sql:
        check_contract(sql, Landed("", contract.dataset, "t", ".csv", "2026-01-01T00:00:00+00:00"), contract)


@pytest.mark.parametrize("pack", pack_names())
def test_a_pack_has_a_contract_for_each_of_its_datasets_and_no_other(pack: str) -> None:
    info = parse_pack(pack_files(pack), pack)
    assert sorted(path for name, path in CONTRACTS if name == pack) == sorted(
        f"contracts/{dataset}.yaml" for dataset in info.datasets
    )
