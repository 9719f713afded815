"""The generated dealers of a demo are made once, and again where anything changes on which they depend."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.stack import automotive, scenarios
from tests.stack.automotive import Generated
from tests.stack.scenarios import Drop


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of customers for which a generator of four small files was called."""
    calls: list[int] = []

    def generate(out: Path, *, dealers: int, customers: int) -> Generated:
        calls.append(customers)
        assert not out.exists(), "what was left half done is removed first"
        out.mkdir()
        paths = [out / name for name in ("sales.csv", "manifest.json", "truth.parquet", "people.parquet")]
        for path in paths:
            path.write_text(f"{dealers} {customers}")
        sales, manifest, truth, people = paths
        phases = {"history": [Drop(sales, "sales/tenant_id=dealer_01/sales.csv")], "gap": [], "outcomes": []}
        return Generated(phases, manifest, truth, people)

    monkeypatch.setattr(automotive, "generate", generate)
    return calls


def test_generated_files_are_made_once(tmp_path: Path, made: list[int]) -> None:
    first = scenarios.automotive(tmp_path / "data", customers=60)
    assert scenarios.automotive(tmp_path / "data", customers=60) == first
    assert made == [60]


def another_numpy(_: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenarios, "version", lambda _: "1000.0")


def no_file(data: Path, _: pytest.MonkeyPatch) -> None:
    (data / "sales.csv").unlink()


def half_done(data: Path, _: pytest.MonkeyPatch) -> None:
    (data / "made.json").unlink()


@pytest.mark.parametrize("change", [another_numpy, no_file, half_done])
def test_generated_files_are_made_anew_after_a_change(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    made: list[int],
    change: Callable[[Path, pytest.MonkeyPatch], None],
) -> None:
    first = scenarios.automotive(tmp_path / "data", customers=60)
    change(tmp_path / "data", monkeypatch)
    assert scenarios.automotive(tmp_path / "data", customers=60) == first
    assert scenarios.automotive(tmp_path / "data", customers=61).drops == first.drops
    assert made == [60, 60, 61]
