"""make pictures: draw the README's two pictures from what `make demo` left in build/demo/automotive.

score.svg shows one row of scores-buy.parquet: the first customer on dealer_01's list. lift.svg shows the lift of each
decile from matchback-buy.json: what the customers did in the 90 days after they were scored. The same demo gives the
same bytes. Both pictures have a background of their own, so that one can read them on a light page and on a dark one.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import duckdb

from propensity.kernel.charts import HEIGHT, STYLE, WIDTH, Labels, Point, bars
from propensity.registry.domain.reason_texts import LOWERS, RAISES
from tests.stack.stack import ROOT

MODEL = "buy"
TENANT = "dealer_01"
DECILES = range(10, 0, -1)  # the likeliest first
COLOURS = {"--ink": "#1b1f24", "--paper": "#ffffff", "--line": "#d5d9de", "--mark": "#2f6fb0"}
_SCORE_STYLE = """
.chart .big { font-weight: 600; font-size: 36px; }
.chart .note { fill: #57606a; }
.chart .inside { fill: var(--paper); font-weight: 600; }
.chart .other { fill: var(--line); }
.chart .against { fill: #b35900; }
"""
_EDGE = 24  # pixels between the picture's border and what stands in it


@dataclass(frozen=True, slots=True)
class Scored:
    """One row of scores-<model>.parquet. A reason is a feature's sentence and what it adds to the score, in logits."""

    tenant: str
    customer: str
    as_of: str
    score: float
    percentile: int | None
    decile: int | None
    reasons: tuple[tuple[str, float], ...]


def first_on_the_list(scores: Path, tenant: str) -> Scored:
    """The tenant's customer with the highest score; of equal scores the smallest customer number."""
    with duckdb.connect() as connection:
        row = connection.execute(
            "select tenant_id, customer_id, as_of::varchar, score, percentile, decile, "
            "[reason.text for reason in reasons], [reason.contribution for reason in reasons] "
            f"from '{scores}' where tenant_id = ? order by score desc, customer_id limit 1",
            [tenant],
        ).fetchone()
    if row is None:
        raise SystemExit(f"{scores}: no customer of {tenant}; expected the scores of `make demo`")
    tenant, customer, as_of, score, percentile, decile, texts, contributions = row
    # an arrow beside the text says which way
    plain = [text.removesuffix(RAISES).removesuffix(LOWERS) for text in texts]
    reasons = tuple(zip(plain, contributions, strict=True))
    return Scored(tenant, customer, as_of, score, percentile, decile, reasons)


def score_picture(one: Scored, model: Mapping[str, Any]) -> Element:
    """The picture of one score. `model` is the entry of its model in summary.json."""
    base = model["positives"] / model["population"]
    title = f"One score: customer {one.customer} of {one.tenant}"
    reasons = "; ".join(f"{text} ({added:+.2f})" for text, added in one.reasons)
    place = f"percentile {one.percentile}, decile {one.decile} of 10" if one.decile else "unranked"
    chart = _picture("score", title, f"Probability {one.score:.1%}, {place}. Reasons, in logits: {reasons}.")
    _text(chart, _EDGE, 32, title, "title")
    _text(chart, _EDGE, 52, f"model {MODEL} v{model['version']}, as of {one.as_of}", "note")
    _text(chart, _EDGE, 104, f"{one.score:.1%}", "big")
    _text(chart, 168, 86, f"is the probability of a purchase within {model['horizon_days']} days.")
    _text(chart, 168, 104, f"Of all {model['population']:,} customers {base:.1%} bought in that time.")
    _deciles(chart, one)
    _text(chart, _EDGE, 202, "Reasons: what moved this score most", "title")
    _text(chart, WIDTH - _EDGE, 202, "logits", "note", "end")
    _reasons(chart, one.reasons)
    return chart


def _deciles(chart: Element, one: Scored) -> None:
    between = 4
    step = (WIDTH - 2 * _EDGE + between) / 10
    for decile in range(1, 11):
        here = decile == one.decile
        left = _EDGE + (decile - 1) * step
        box = {"x": f"{left:.1f}", "y": "124", "width": f"{step - between:.1f}", "height": "24", "rx": "3"}
        SubElement(chart, "rect", {"class": "mark" if here else "other", **box})
        _text(chart, left + (step - between) / 2, 140, str(decile), "inside" if here else "note", "middle")
    place = f"decile {one.decile}, percentile {one.percentile} of the dealer's list; 10 and 100 are the likeliest"
    if one.decile is None:
        place = "unranked: the dealer's list has no places"
    _text(chart, _EDGE, 166, place, "note")


def _reasons(chart: Element, reasons: Sequence[tuple[str, float]]) -> None:
    most = max((abs(added) for _, added in reasons), default=1.0)
    for number, (text, added) in enumerate(reasons):
        y = 228 + 36 * number
        _text(chart, _EDGE, y, f"{'▲' if added > 0 else '▼'} {text}")
        _text(chart, WIDTH - _EDGE, y, f"{added:+.2f}", "label", "end")
        width = abs(added) / most * (WIDTH - 2 * _EDGE)
        box = {"x": str(_EDGE), "y": str(y + 6), "width": f"{width:.1f}", "height": "6", "rx": "3"}
        SubElement(chart, "rect", {"class": "mark" if added > 0 else "against", **box})


def lift_picture(matchback: Mapping[str, Any], horizon_days: int) -> Element:
    """The picture of the lift of each decile. `matchback` is matchback-<model>.json of the demo."""
    segments = matchback["segments"]
    everyone = segments["all"]["rate"]
    points = []
    for decile in (one for one in DECILES if f"decile_{one}" in segments):
        lift = segments[f"decile_{decile}"]["lift"]
        points.append(Point(lift["value"], lift["low"], lift["high"], label=str(decile)))
    top = points[0]
    labels = Labels(
        "lift",
        f"Who then bought within {horizon_days} days (n = {everyone['n']:,})",
        "decile of the dealer's list; 10 is the likeliest",
        "lift: its rate over everyone's",
        f"Lift by decile with its 95 % interval. {everyone['positives']:,} of {everyone['n']:,} customers bought. "
        f"Decile 10 bought {top.y:.2f} times as often as everyone ({top.low:.2f} to {top.high:.2f}). "
        "The dashed line is everyone's rate.",
    )
    chart = bars(points, labels, ideal=1.0)
    _own_background(chart, "")
    return chart


def _picture(key: str, title: str, description: str) -> Element:
    """An empty picture of a chart's size, with a chart's CSS classes."""
    named = f"{key}-title", f"{key}-said"
    chart = Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "class": "chart",
            "viewBox": f"0 0 {WIDTH} {HEIGHT}",
            "role": "img",
            "aria-labelledby": " ".join(named),
        },
    )
    SubElement(chart, "title", {"id": named[0]}).text = title
    SubElement(chart, "desc", {"id": named[1]}).text = description
    _own_background(chart, _SCORE_STYLE)
    return chart


def _own_background(chart: Element, style: str) -> None:
    """Put colours and paper into the file. Not every program that shows SVG knows CSS variables: they become values."""
    rules = STYLE + style
    for name, value in COLOURS.items():
        rules = rules.replace(f"var({name})", value)
    chart.set("width", str(WIDTH))
    chart.set("height", str(HEIGHT))
    paper = {"x": "0.5", "y": "0.5", "width": str(WIDTH - 1), "height": str(HEIGHT - 1), "rx": "8"}
    place = len([child for child in chart if child.tag in ("title", "desc")])
    chart.insert(place, Element("rect", {**paper, "fill": COLOURS["--paper"], "stroke": COLOURS["--line"]}))
    css = Element("style")
    css.text = rules
    chart.insert(place, css)


def _text(chart: Element, x: float, y: float, text: str, kind: str = "label", anchor: str = "start") -> None:
    element = SubElement(chart, "text", {"class": kind, "x": f"{x:.1f}", "y": f"{y:.1f}", "text-anchor": anchor})
    element.text = text


def to_svg(chart: Element) -> str:
    indent(chart, " ")
    return tostring(chart, encoding="unicode") + "\n"


def draw(demo: Path, out: Path) -> list[Path]:
    """Write both pictures from a demo's folder. Exits with a message where the demo has not run."""
    summary, matchback, scores = (
        demo / name for name in ("summary.json", f"matchback-{MODEL}.json", f"scores-{MODEL}.parquet")
    )
    for path in (summary, matchback, scores):
        if not path.exists():
            raise SystemExit(f"{path} is missing; run `make demo` first, which writes it")
    model = json.loads(summary.read_text())["models"][MODEL]
    pictures = {
        "score.svg": score_picture(first_on_the_list(scores, TENANT), model),
        "lift.svg": lift_picture(json.loads(matchback.read_text()), model["horizon_days"]),
    }
    out.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures.items():
        (out / name).write_text(to_svg(picture))
    return [out / name for name in pictures]


def main() -> int:
    parser = argparse.ArgumentParser(prog="make pictures", description=__doc__)
    parser.add_argument(
        "--demo", type=Path, default=ROOT / "build/demo/automotive", help="the folder of a demo's output"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "docs/pictures", help="where the pictures go")
    options = parser.parse_args()
    for path in draw(options.demo, options.out):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
