"""Curves, charts and pages: figures add up, marks stand where they belong, and text never becomes markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensity.evaluation.card import direction, trend
from propensity.kernel.charts import HEIGHT, WIDTH, Labels, Point, bars, nice, scatter
from propensity.kernel.pages import Figure, Page, Section, Table, to_html, to_markdown
from propensity.stats.curves import gains, reliability
from propensity.stats.figures import scored
from propensity.stats.within_tenant import by_tenant, hits_of_lists, lift_of_lists

GROUPS = st.lists(
    st.tuples(st.floats(0, 1), st.integers(1, 40), st.integers(0, 40)).map(lambda one: (one[0], one[1], min(one[1:]))),
    min_size=1,
    max_size=40,
).filter(lambda groups: 0 < sum(one[2] for one in groups) < sum(one[1] for one in groups))
LABELS = Labels("k", "Title", "across", "up", "said")


@given(GROUPS)
def test_bins_hold_every_row_once_and_ascend(groups: Any) -> None:
    data = scored(groups)
    bins = reliability(data)
    assert sum(one.rate.n for one in bins) == data.rows
    assert sum(one.rate.value * one.rate.n for one in bins) == pytest.approx(data.positives)
    assert [one.score for one in bins] == sorted(one.score for one in bins)


@given(GROUPS, st.lists(st.sampled_from("abc"), min_size=40, max_size=40))
def test_tenths_capture_every_positive_and_the_first_is_the_lift_of_the_tenants_lists(groups: Any, names: Any) -> None:
    tenants = by_tenant((name, *group) for name, group in zip(names, groups, strict=False))
    tenths = gains(tenants)
    assert [one.number for one in tenths] == list(range(1, 11))
    assert tenths[-1].captured == pytest.approx(1)
    assert [one.captured for one in tenths] == sorted(one.captured for one in tenths)
    assert np.mean([one.lift.value for one in tenths]) == pytest.approx(1)
    assert tenths[0].lift == lift_of_lists(tenants)
    positives = sum(tenant.positives for tenant in tenants.values())
    assert tenths[0].captured == pytest.approx(hits_of_lists(tenants) / positives)


def test_a_tenant_that_converts_more_lifts_no_tenth_by_itself() -> None:
    """Within a tenant every score is right as often: only the tenants differ."""
    rows = [(tenant, score, 10, often) for tenant, often in (("a", 1), ("b", 8)) for score in (0.1, 0.2, 0.3, 0.4)]
    shifted = [(tenant, score + (tenant == "b") / 2, count, often) for tenant, score, count, often in rows]
    assert [one.lift.value for one in gains(by_tenant(shifted))] == pytest.approx([1.0] * 10)


@given(st.floats(1e-6, 1e6))
def test_an_axis_ends_at_a_round_number_that_is_not_below_what_it_shows(value: float) -> None:
    assert value * (1 - 1e-6) <= nice(value) <= 2.5 * value


def marks(chart: Element, tag: str, kind: str) -> list[dict[str, float]]:
    found = [one for one in chart.iter(tag) if one.get("class") == kind]
    return [{name: float(value) for name, value in one.items() if name not in ("class", "r")} for one in found]


def test_a_point_lies_on_the_diagonal_where_x_is_y_and_inside_its_interval() -> None:
    chart = scatter([Point(0.2, 0.1, 0.3, x=0.2), Point(0.5, 0.5, 0.5, x=1.0)], LABELS)
    [diagonal] = marks(chart, "line", "ideal")
    slope = (diagonal["y2"] - diagonal["y1"]) / (diagonal["x2"] - diagonal["x1"])
    on, below = marks(chart, "circle", "mark")
    assert on["cy"] == pytest.approx(diagonal["y1"] + slope * (on["cx"] - diagonal["x1"]), abs=0.2)
    assert below["cy"] > diagonal["y1"] + slope * (below["cx"] - diagonal["x1"])  # in SVG, y grows downwards
    whisker = marks(chart, "line", "whisker")[0]
    assert whisker["y2"] < on["cy"] < whisker["y1"]


def test_bars_are_as_high_as_their_values_and_everything_is_in_the_picture() -> None:
    chart = bars([Point(3, 2, 4, label="1"), Point(1.5, 1, 2, label="2"), Point(0, 0, 0.5, label="3")], LABELS, 1.0)
    high, half, none = marks(chart, "rect", "mark")
    assert high["height"] == pytest.approx(2 * half["height"], abs=0.2)
    assert none["height"] == 0
    [ideal] = marks(chart, "line", "ideal")
    assert high["y"] < ideal["y1"] < none["y"]
    for one in chart.iter():
        across = [float(one.get(name, 0)) for name in ("x", "x1", "x2", "cx")]
        up = [float(one.get(name, 0)) for name in ("y", "y1", "y2", "cy")]
        assert all(0 <= value <= WIDTH for value in across)
        assert all(0 <= value <= HEIGHT for value in up)


def test_a_chart_says_what_it_is_to_who_does_not_see_it() -> None:
    chart = scatter([], LABELS)
    said = {one.get("id"): one.text for one in chart if one.get("id")}
    assert [said[name] for name in str(chart.get("aria-labelledby")).split()] == ["Title", "said"]
    assert {"Title", "across", "up"} <= {one.text for one in chart.iter("text")}


class Reader(HTMLParser):
    """Keeps the tags that are still open, and all tags that it saw."""

    VOID = frozenset({"meta", "br", "link", "img", "hr", "input"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        self.tags |= {f"@{name}" for name, _ in attrs}
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


HOSTILE = '<script>alert(1)</script> <img src=x onerror=alert(1)> & "a" | `b` *c* [d](javascript:e)\n# f'


def test_no_text_becomes_markup_in_either_format() -> None:
    table = Table(HOSTILE, (HOSTILE,), ((HOSTILE,),))
    figure = Figure(scatter([Point(0.1, 0, 0.2, 0.1)], Labels("k", HOSTILE, HOSTILE, HOSTILE, HOSTILE)), table)
    page = Page(HOSTILE, HOSTILE, (Section(HOSTILE, (HOSTILE, table, figure, (HOSTILE,))),))
    reader = Reader()
    reader.feed(to_html(page))
    assert reader.open == []
    assert not {"script", "img", "@onerror", "@src", "@href"} & reader.tags
    assert reader.text.count("<script>alert(1)</script>") == 17
    told = to_markdown(page)
    assert "<" not in told
    assert "[d](" not in told
    rows = [line for line in told.splitlines() if line.startswith("| ") and "---" not in line]
    assert all(line.replace("\\|", "").count("|") == 2 for line in rows)
    assert sum(line.startswith("# ") for line in told.splitlines()) == 1


def test_the_way_a_feature_pulls_is_read_off_the_model() -> None:
    random = np.random.default_rng(1)
    matrix = random.normal(size=(300, 5)).astype(np.float32)
    matrix[::3, 1] = np.nan
    matrix[:, 3] = random.random(300) < 0.02  # nearly always 0

    def predict(rows: Any) -> Any:
        total = 2 * rows[:, 0] - np.nan_to_num(rows[:, 1]) + rows[:, 2] ** 2 - rows[:, 3]
        return 1 / (1 + np.exp(-total))

    found = [trend(predict, matrix, column) for column in range(5)]
    assert found == ["rises", "falls", "mixed", "falls", "none"]
    assert trend(predict, np.full((3, 5), np.nan, dtype=np.float32), 0) == "none"
    assert direction(np.array([0.0])) == "none"


def test_each_table_scrolls_by_itself_where_the_window_is_narrower() -> None:
    table = Table("Figures", ("figure", "value"), (("AUC", "0.7"),))
    figure = Figure(scatter([Point(0.1, 0, 0.2, 0.1)], Labels("k", "t", "x", "y", "d")), table)
    html = to_html(Page("p", "s", (Section("h", (table, figure)),)))
    assert html.count("<table>") == 2
    wrapped = r'<div class="scroll" tabindex="0" role="region" aria-label="Figures">\s*<table>'
    assert len(re.findall(wrapped, html)) == 2
    assert re.search(r"\.scroll {[^}]*overflow-x: auto", html)
    assert not re.search(r"table {[^}]*display: block", html)  # such a table has no scroll bar that one sees on a phone
