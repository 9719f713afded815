"""The README's pictures show what the demo's files say, on a background of their own, in the same bytes each time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import duckdb
import pytest

from tests.stack.pictures import COLOURS, DECILES, draw
from tests.stack.stack import ROOT

SVG = "{http://www.w3.org/2000/svg}"
REASON = "struct_pack(text := '{}', contribution := {}, feature := 'f')"


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    """What `make demo` leaves: two customers of dealer_01 and a likelier one of another dealer."""
    folder = tmp_path / "demo"
    folder.mkdir()
    rows = [
        (
            "dealer_01",
            "C2",
            0.40,
            100,
            10,
            [REASON.format("lease ends in 3 months", 1.5), REASON.format("a < b", -0.5)],
        ),
        ("dealer_01", "C1", 0.40, 100, 10, [REASON.format("the smaller number", 1.5), REASON.format("a < b", -0.5)]),
        ("dealer_02", "C9", 0.90, 100, 10, [REASON.format("of another dealer", 2.0)]),
    ]
    values = ", ".join(
        f"('{tenant}', '{customer}', date '2025-07-01', {score}, {percentile}, {decile}, [{', '.join(reasons)}])"
        for tenant, customer, score, percentile, decile, reasons in rows
    )
    duckdb.execute(
        f"copy (select * from (values {values}) t(tenant_id, customer_id, as_of, score, percentile, decile, reasons)) "
        f"to '{folder}/scores-buy.parquet' (format parquet)"
    )
    rate = {"value": 0.1, "low": 0.09, "high": 0.11, "n": 1_000, "positives": 100}
    segments: dict[str, Any] = {"all": {"rate": rate}}
    for decile in DECILES:
        segments[f"decile_{decile}"] = {"lift": {"value": decile / 4, "low": decile / 5, "high": decile / 3, "n": 100}}
    (folder / "matchback-buy.json").write_text(json.dumps({"segments": segments}))
    model = {"version": 3, "horizon_days": 90, "population": 1_000, "positives": 100}
    (folder / "summary.json").write_text(json.dumps({"models": {"buy": model}}))
    return folder


def parsed(path: Path) -> ET.Element:
    return ET.parse(path).getroot()  # noqa: S314 - a file of ours


def texts(path: Path) -> list[str]:
    return ["".join(one.itertext()) for one in parsed(path).iter(f"{SVG}text")]


def marks(path: Path, kind: str) -> list[dict[str, str]]:
    return [dict(one.items()) for one in parsed(path).iter(f"{SVG}rect") if one.get("class") == kind]


def test_the_score_is_the_first_on_the_dealer_s_list_with_its_reasons_in_words(demo: Path, tmp_path: Path) -> None:
    [score, _] = draw(demo, tmp_path / "out")
    said = texts(score)
    assert "One score: customer C1 of dealer_01" in said
    assert "40.0%" in said
    assert "Of all 1,000 customers 10.0% bought in that time." in said
    assert said[-4:] == ["▲ the smaller number", "+1.50", "▼ a < b", "-0.50"]
    [against] = marks(score, "against")
    raised = marks(score, "mark")[-1]
    assert float(raised["width"]) == pytest.approx(3 * float(against["width"]), abs=0.2)


def test_the_lift_has_a_bar_per_decile_the_likeliest_first(demo: Path, tmp_path: Path) -> None:
    [_, lift] = draw(demo, tmp_path / "out")
    heights = [float(bar["height"]) for bar in marks(lift, "mark")]
    assert len(heights) == 10
    assert heights[0] == pytest.approx(10 * heights[-1], abs=0.6)
    assert [label for label in texts(lift) if label.isdigit() and label != "0"][-10:] == [str(one) for one in DECILES]


def test_the_same_demo_gives_the_same_bytes(demo: Path, tmp_path: Path) -> None:
    first = [path.read_bytes() for path in draw(demo, tmp_path / "one")]
    assert first == [path.read_bytes() for path in draw(demo, tmp_path / "other")]


def test_a_demo_that_has_not_run_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"summary\.json is missing; run `make demo` first"):
        draw(tmp_path, tmp_path / "out")


@pytest.mark.parametrize("name", ["score.svg", "lift.svg"])
def test_the_committed_pictures_bring_their_own_background_and_need_nothing_from_the_page(name: str) -> None:
    path = ROOT / "docs/pictures" / name
    paper = next(one for one in parsed(path).iter(f"{SVG}rect"))
    assert (paper.get("fill"), paper.get("width")) == (COLOURS["--paper"], "519")
    assert "var(" not in path.read_text()
    assert "http" not in path.read_text().replace("http://www.w3.org/2000/svg", "")
