"""The page "Your first pack", followed to the letter: its files, its check, its loading, its scores."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from propensity.adapters.duckdb_sql import DuckDbSql
from propensity.operations.check_pack import check_pack
from propensity.registry.versions import champion_number
from tests.kit.world import World

PAGE = (Path(__file__).resolve().parents[3] / "docs/start/first-pack.md").read_text()
PACK = "gym/"


def quoted_files() -> dict[str, str]:
    return dict(re.findall(r"^`([\w./]+)`:\n\n```\w+\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))


def test_the_first_pack_leads_from_three_files_to_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = quoted_files()
    pack = {name.removeprefix(PACK): text for name, text in files.items() if name.startswith(PACK)}
    assert check_pack(pack, "gym", DuckDbSql) == []
    assert f"gym: no mistake in {len(pack)} files" in PAGE

    monkeypatch.chdir(tmp_path)
    script = tmp_path / "gym_files.py"
    script.write_text(files["gym_files.py"])
    runpy.run_path(str(script))

    world = World("retail", tmp_path / "lake")
    world.pack, world.pack_files = "gym", pack
    loaded = re.search(r"for name in ([\w ]+); do", PAGE)
    slot = re.search(r'"slot": "([\d-]+)"', PAGE)
    assert loaded
    assert slot
    for name in loaded[1].split():
        report = world.put(f"{name}/tenant_id=city/first.csv", (tmp_path / f"build/gym/{name}.csv").read_bytes())
        assert report["status"] == "accepted", report
    world.promote()
    registered = world.train("bar", slot[1])
    assert registered["failed_gates"] == []
    assert champion_number(world.lake, "bar") == 1
    receipt = world.score("bar", slot[1])
    assert receipt["population"] > 300
    assert world.query("select count(*) from s", s="gold/scores") == [(receipt["population"],)]
