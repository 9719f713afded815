"""Charts as SVG elements, for a page that has no script and no library.

Colours are CSS variables of the page, so that a chart can be read on a light and on a dark page. Each chart has a title
and a description for readers who cannot see it. The page adds its figures as a table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from xml.etree.ElementTree import Element, SubElement

WIDTH, HEIGHT = 520, 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 40, 56
_TICKS = 5

STYLE = """
.chart text { fill: var(--ink); font: 12px system-ui, sans-serif; }
.chart .title { font-weight: 600; font-size: 14px; }
.chart .axis { stroke: var(--ink); }
.chart .grid { stroke: var(--line); }
.chart .mark { fill: var(--mark); }
.chart .whisker { stroke: var(--ink); stroke-width: 1.5; }
.chart .ideal { stroke: var(--ink); stroke-dasharray: 4 4; }
"""


@dataclass(frozen=True, slots=True)
class Point:
    """One point or bar of a chart. `label` names a bar, and `x` places a point.

    `low` and `high` are the ends of the interval of `y`.
    """

    y: float
    low: float
    high: float
    x: float = 0.0
    label: str = ""


@dataclass(frozen=True, slots=True)
class Labels:
    """The texts of a chart.

    `key` differs between the charts of one page; `description` says in a sentence what is shown.
    """

    key: str
    title: str
    x: str
    y: str
    description: str


def scatter(points: Sequence[Point], labels: Labels) -> Element:
    """A chart of points with their intervals, and of the diagonal on which y equals x.

    Both axes run from 0 to the first round number that is not below any point or interval.
    """
    top = nice(max((max(point.x, point.high) for point in points), default=1.0))
    chart, x, y = _frame(labels, top, top)
    for tick in _ticks(top):
        _text(chart, x(tick), HEIGHT - _BOTTOM + 18, _number(tick), "middle")
    _line(chart, "ideal", x(0), y(0), x(top), y(top))
    for point in points:
        _line(chart, "whisker", x(point.x), y(point.low), x(point.x), y(point.high))
        SubElement(chart, "circle", {"class": "mark", "cx": _at(x(point.x)), "cy": _at(y(point.y)), "r": "4"})
    return chart


def bars(points: Sequence[Point], labels: Labels, ideal: float) -> Element:
    """A chart of bars with their intervals, in the order given, and of a line at the height `ideal`."""
    top = nice(max((max(point.high, ideal) for point in points), default=1.0))
    chart, x, y = _frame(labels, max(1, len(points)), top)
    for number, point in enumerate(points):
        left, right, middle = x(number + 0.15), x(number + 0.85), x(number + 0.5)
        box = {"x": left, "y": y(point.y), "width": right - left, "height": y(0) - y(point.y)}
        SubElement(chart, "rect", {"class": "mark"} | {name: _at(value) for name, value in box.items()})
        _line(chart, "whisker", middle, y(point.low), middle, y(point.high))
        _text(chart, middle, HEIGHT - _BOTTOM + 18, point.label, "middle")
    _line(chart, "ideal", x(0), y(ideal), x(max(1, len(points))), y(ideal))
    return chart


def nice(value: float) -> float:
    """The least round number that is not below a value. Round numbers are 1, 2, 2.5 or 5 times a power of ten.

    For example, 0.31 gives 0.5. A value of 0 or less gives 1.
    """
    if value <= 0:
        return 1.0
    power = 10.0 ** floor(log10(value))
    return next(step * power for step in (1.0, 2.0, 2.5, 5.0, 10.0) if step * power >= value * (1 - 1e-9))


def _frame(
    labels: Labels, right: float, top: float
) -> tuple[Element, Callable[[float], float], Callable[[float], float]]:
    """A chart with its axes, and two functions that turn a value into a place across and into a place up."""

    def x(value: float) -> float:
        return _LEFT + value / right * (WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return HEIGHT - _BOTTOM - value / top * (HEIGHT - _TOP - _BOTTOM)

    title_id, description_id = f"{labels.key}-title", f"{labels.key}-said"
    chart = Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "class": "chart",
            "viewBox": f"0 0 {WIDTH} {HEIGHT}",
            "role": "img",
            "aria-labelledby": f"{title_id} {description_id}",
        },
    )
    SubElement(chart, "title", {"id": title_id}).text = labels.title
    SubElement(chart, "desc", {"id": description_id}).text = labels.description
    _text(chart, _LEFT, 20, labels.title, "start", "title")
    for tick in _ticks(top):
        _line(chart, "grid", x(0), y(tick), x(right), y(tick))
        _text(chart, _LEFT - 8, y(tick) + 4, _number(tick), "end")
    _line(chart, "axis", x(0), y(0), x(right), y(0))
    _line(chart, "axis", x(0), y(0), x(0), y(top))
    _text(chart, (x(0) + x(right)) / 2, HEIGHT - 12, labels.x, "middle")
    upright = _text(chart, 0, 0, labels.y, "middle")
    upright.set("transform", f"translate(16 {_at((y(0) + y(top)) / 2)}) rotate(-90)")
    return chart, x, y


def _ticks(top: float) -> list[float]:
    return [top * number / _TICKS for number in range(_TICKS + 1)]


def _line(chart: Element, kind: str, x1: float, y1: float, x2: float, y2: float) -> None:
    SubElement(chart, "line", {"class": kind, "x1": _at(x1), "y1": _at(y1), "x2": _at(x2), "y2": _at(y2)})


def _text(chart: Element, x: float, y: float, content: str, anchor: str, kind: str = "label") -> Element:
    text = SubElement(chart, "text", {"class": kind, "x": _at(x), "y": _at(y), "text-anchor": anchor})
    text.text = content
    return text


def _at(value: float) -> str:
    return f"{value:.1f}"


def _number(value: float) -> str:
    digits = max(0, 2 - ceil(log10(value))) if 0 < value < 10 else 0
    return f"{value:.{digits}f}".rstrip("0").rstrip(".") if digits else f"{value:,.0f}"
