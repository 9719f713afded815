"""A page of sections, written from the same content as one self-contained HTML file and as Markdown.

The standard library writes the HTML from elements and escapes every text and attribute, so that no string ever becomes
markup. A template engine would be one more wheel in the layer of every function.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from propensity.kernel import charts


@dataclass(frozen=True, slots=True)
class Table:
    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart, and its figures as a table for readers who cannot see it."""

    chart: Element
    table: Table


@dataclass(frozen=True, slots=True)
class Section:
    heading: str
    blocks: tuple[str | Table | Figure | tuple[str, ...], ...]  # a tuple of texts becomes a list of items


@dataclass(frozen=True, slots=True)
class Page:
    title: str
    summary: str
    sections: tuple[Section, ...]


_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --line: #d5d9de; --mark: #2f6fb0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --paper: #15181c; --line: #3a4048; --mark: #6ea8e0; } }
body { background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto;
  max-width: 60rem; padding: 0 1rem; }
.scroll { margin: 1rem 0; max-width: 100%; overflow-x: auto;
  background: linear-gradient(to right, transparent 95%, var(--line)) right / 2rem 100% no-repeat; }
table { border-collapse: collapse; }
@media (max-width: 40rem) {
  body { padding: 0 .6rem; }
  table { font-size: .85rem; }
  th, td { overflow-wrap: anywhere; min-width: 5rem; }
}
caption { text-align: left; font-weight: 600; }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .6rem; text-align: left; vertical-align: top; }
figure { margin: 1rem 0; max-width: 36rem; }
"""


def to_html(page: Page) -> str:
    root = Element("html", {"lang": "en"})
    head = SubElement(root, "head")
    SubElement(head, "meta", {"charset": "utf-8"})
    SubElement(head, "meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"})
    SubElement(head, "title").text = page.title
    SubElement(head, "style").text = _STYLE + charts.STYLE
    main = SubElement(SubElement(root, "body"), "main")
    SubElement(main, "h1").text = page.title
    SubElement(main, "p").text = page.summary
    for section in page.sections:
        place = SubElement(main, "section")
        SubElement(place, "h2").text = section.heading
        for block in section.blocks:
            _html(place, block)
    indent(root, " ")
    return f"<!doctype html>\n{tostring(root, encoding='unicode', method='html')}\n"


def _html(place: Element, block: str | Table | Figure | tuple[str, ...]) -> None:
    if isinstance(block, str):
        SubElement(place, "p").text = block
    elif isinstance(block, Table):
        _html_table(place, block)
    elif isinstance(block, Figure):
        figure = SubElement(place, "figure")
        figure.append(block.chart)
        details = SubElement(SubElement(figure, "figcaption"), "details")
        SubElement(details, "summary").text = "The figures as a table"
        _html_table(details, block.table)
    else:
        listed = SubElement(place, "ul")
        for item in block:
            SubElement(listed, "li").text = item


def _html_table(place: Element, block: Table) -> None:
    # a table wider than the window scrolls by itself, by touch and by the arrow keys; the page does not
    named = {"class": "scroll", "tabindex": "0", "role": "region", "aria-label": block.caption}
    table = SubElement(SubElement(place, "div", named), "table")
    SubElement(table, "caption").text = block.caption
    head = SubElement(SubElement(table, "thead"), "tr")
    for name in block.header:
        SubElement(head, "th", {"scope": "col"}).text = name
    body = SubElement(table, "tbody")
    for row in block.rows:
        tr = SubElement(body, "tr")
        first, *others = row
        SubElement(tr, "th", {"scope": "row"}).text = first
        for cell in others:
            SubElement(tr, "td").text = cell


def to_markdown(page: Page) -> str:
    parts = [f"# {_plain(page.title)}", _plain(page.summary)]
    for section in page.sections:
        parts += [f"## {_plain(section.heading)}", *(_markdown(block) for block in section.blocks)]
    return "\n\n".join(parts) + "\n"


def _markdown(block: str | Table | Figure | tuple[str, ...]) -> str:
    if isinstance(block, str):
        return _plain(block)
    if isinstance(block, Figure):
        block = block.table
    if isinstance(block, Table):
        rows = [block.header, ("---",) * len(block.header), *block.rows]
        lines = ["| " + " | ".join(cell if cell == "---" else _plain(cell) for cell in row) + " |" for row in rows]
        return "\n".join([f"**{_plain(block.caption)}**", "", *lines])
    return "\n".join(f"- {_plain(item)}" for item in block)


def _plain(text: str) -> str:
    """The text on one line, escaped so that a Markdown reader takes none of it for markup or HTML."""
    escaped = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*\[\]|#])", r"\\\1", escaped)
