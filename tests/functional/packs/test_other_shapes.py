"""The page on files of another shape, followed to the letter: one file under two datasets, a time of two columns."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from propensity.adapters.duckdb_sql import DuckDbSql
from propensity.operations.check_pack import check_pack
from tests.kit.world import World

PAGE = (Path(__file__).resolve().parents[3] / "docs/how-to/take-in-files-of-another-shape.md").read_text()
PACK = {
    "name": "shop",
    "description": "d",
    "entity": "customer_id",
    "partition_key": "tenant",
    "buckets": 1,
    "datasets": ["orders", "returns"],
    "models": [],
}


def test_one_file_is_taken_under_two_datasets_each_known_at_its_own_time(tmp_path: Path) -> None:
    contracts = dict(re.findall(r"^`(\w+\.yaml)`:\n\n```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
    [file] = re.findall(r"^```text\n(order_id.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    files = {f"contracts/{name}": text for name, text in contracts.items()}
    files["pack.yaml"] = yaml.safe_dump(PACK)
    assert not [mistake for mistake in check_pack(files, "shop", DuckDbSql) if mistake.file.startswith("contracts")]

    world = World("retail", tmp_path)
    world.pack, world.pack_files = "shop", files
    orders, returns = (world.put(f"{name}/tenant_id=t/a.csv", file.encode()) for name in ("orders", "returns"))
    assert (orders["bronze"], orders["quarantine"]) == (2, 0)
    assert any("not in the contract" in warning for warning in orders["warnings"])
    assert (returns["bronze"], returns["quarantine"]) == (1, 1)
    world.promote()
    known = "select order_id, strftime(timezone('UTC', _known_at), '%Y-%m-%d %H:%M') from s order by 1"
    assert world.query(known, s="silver/orders") == [("O1", "2025-03-01 09:30"), ("O2", "2025-03-01 17:05")]
    assert world.query(known, s="silver/returns") == [("O2", "2025-03-20 00:00")]
