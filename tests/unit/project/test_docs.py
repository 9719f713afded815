"""The documentation is whole: links and anchors lead somewhere, and each decision is complete and listed once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).resolve().parents[3]
DECISIONS = Path("docs/decisions")
# rooms are folders of the package; a decision that concerns none of them stands under one of the last five
ROOMS = {
    *("kernel", "stats", "pack", "lake", "tenants", "registry", "identity", "ingest", "features", "scoring", "serving"),
    *(
        "training",
        "evaluation",
        "feedback",
        "portal",
        "operations",
        "delivery",
        "ladder",
        "erasure",
        "release",
        "backtest",
    ),
    *("packs", "adapters", "layers", "tests", "all"),
}
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,}).*?^ {0,3}\1[`~]*[ \t]*$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
_LINK = re.compile(r"\]\(\s*<?([^\s()<>]*(?:\([^\s()]*\)[^\s()<>]*)*)>?(?:\s+\"[^\"]*\")?\s*\)")
_REFERENCE = re.compile(r"^ {0,3}\[[^\]]+\]:\s*<?([^\s>]+)>?", re.MULTILINE)
_HTML = re.compile(r"<(?:a|img)\b[^>]*?\b(?:href|src)=\"([^\"]*)\"")
_HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+(.+?)(?:[ \t]+#+)?[ \t]*$", re.MULTILINE)
_NAMED = re.compile(r"<[a-z0-9]+\b[^>]*?\b(?:id|name)=\"([^\"]+)\"")
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|//", re.IGNORECASE)
_MENTION = re.compile(r"\bdocs/[\w./-]+\.md\b")


def pages(root: Path) -> list[Path]:
    """The pages whose links are checked."""
    top = [root / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")]
    return [*(page for page in top if page.exists()), *sorted((root / "docs").rglob("*.md"))]


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives a page: one per heading in lower case, and each id or name in HTML."""
    text = _FENCE.sub("", page.read_text())
    found: Counter[str] = Counter()
    names = set(_NAMED.findall(text))
    for heading in _HEADING.findall(text):
        shown = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        shown = re.sub(r"`([^`]*)`|(?<!\w)[*_]+|[*_]+(?!\w)", r"\1", shown)
        slug = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        names.add(f"{slug}-{found[slug]}" if found[slug] else slug)
        found[slug] += 1
    return names


def links(page: Path) -> Iterator[str]:
    """The targets of a page's links and images, without those in code."""
    text = _CODE.sub("", _FENCE.sub("", page.read_text()))
    for pattern in (_LINK, _REFERENCE, _HTML):
        yield from pattern.findall(text)


def broken_links(root: Path) -> list[str]:
    return [
        f"{page.relative_to(root)}: {target}: {fault}"
        for page in pages(root)
        for target in links(page)
        if not _ELSEWHERE.match(target) and (fault := _fault(root, page, target))
    ]


def _fault(root: Path, page: Path, target: str) -> str | None:
    place, _, anchor = (unquote(part) for part in target.partition("#"))
    if place.startswith("/"):
        return "is absolute, expected a path from this page"
    path = (page.parent / place).resolve() if place else page
    if not path.is_relative_to(root.resolve()):
        return "leads out of the repository"
    if not path.exists() or path.name not in {one.name for one in path.parent.iterdir()}:
        return "is not there"  # also on a file system that ignores case and would find it
    if anchor and path.suffix == ".md" and anchor not in anchors(path):
        return f"no heading of {path.name} has this anchor"
    return None


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision's file name, and the fields of its head. `after` is the file by which it is superseded."""

    file: str
    title: str
    status: str
    after: str | None
    date: str
    room: str


_HEAD = re.compile(
    r"# (?P<number>\d{4})\. (?P<title>\S.*)\n\n"
    r"Status: (?P<status>accepted|superseded by \[(?P<new>\d{4})\]\((?P<after>[^)]+)\))\n\n"
    r"Date: (?P<date>\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01]))\n\n"
    r"Room: (?P<room>\w+)\n\n"
)
_ROW = re.compile(r"^\| (\d{4}) \| \[(.+)\]\(([^)]+)\) \| (.+?) \| (\S+) \|$", re.MULTILINE)


def faulty_decisions(root: Path) -> list[str]:
    faults: list[str] = []
    folder = root / DECISIONS
    files = sorted(path for path in folder.iterdir() if path.name != "README.md")
    decisions = [found for path in files if (found := _parse(path, faults))]
    numbers = [path.name[:4] for path in files]
    if numbers != [f"{number:04}" for number in range(1, len(files) + 1)]:
        faults.append("numbers: expected 0001 and so on, each once and none left out")
    there = {one.file for one in decisions}
    faults += [
        f"{one.file}: superseded by {one.after}, which is no other decision"
        for one in decisions
        if one.after is not None and (one.after not in there or one.after == one.file)
    ]
    return faults + _index_faults((folder / "README.md").read_text(), decisions)


def _parse(path: Path, faults: list[str]) -> Decision | None:
    name = re.fullmatch(r"(\d{4})-[a-z0-9]+(?:-[a-z0-9]+)*\.md", path.name)
    head = _HEAD.match(path.read_text())
    if name is None or head is None:
        faults.append(f"{path.name}: expected NNNN-short-title.md with # NNNN. Title, Status, Date and Room")
        return None
    if head["number"] != name[1]:
        faults.append(f"{path.name}: its title has the number {head['number']}")
    if head["room"] not in ROOMS:
        faults.append(f"{path.name}: no room is called {head['room']}")
    if head["after"] and not head["after"].startswith(f"{head['new']}-"):
        faults.append(f"{path.name}: superseded by {head['new']}, and links {head['after']}")
    return Decision(path.name, head["title"], head["status"], head["after"], head["date"], head["room"])


def _index_faults(index: str, decisions: list[Decision]) -> list[str]:
    faults = []
    listed: Counter[str] = Counter()
    rows = {}
    for section in re.split(r"^## ", index, flags=re.MULTILINE)[1:]:
        for number, title, file, status, date in _ROW.findall(section):
            listed[file] += 1
            rows[file] = (number, title, status, date, section.split()[0])
    for one in decisions:
        if listed[one.file] != 1:
            faults.append(f"README.md: lists {one.file} {listed[one.file]} times, expected once")
        elif rows[one.file] != (one.file[:4], one.title, one.status, one.date, one.room):
            faults.append(f"README.md: says of {one.file} {rows[one.file]}, its own head says something else")
    return faults + [
        f"README.md: lists {file}, which is no decision" for file in set(listed) - {d.file for d in decisions}
    ]


def test_every_link_and_anchor_of_the_pages_leads_somewhere() -> None:
    assert broken_links(ROOT) == []


def test_every_page_that_the_code_names_is_there() -> None:
    named = {
        (mention, str(path.relative_to(ROOT)))
        for folder in ("shared", "functions", "layers", "tests")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".yaml", ".json", ""} and path.is_file() and path != Path(__file__)
        for mention in _MENTION.findall(path.read_text())
    }
    assert named
    assert sorted(one for one in named if not (ROOT / one[0]).exists()) == []


def test_every_python_file_that_pages_and_comments_name_is_there() -> None:
    package = ROOT / "shared/src/propensity"
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md"), ROOT / "template.yaml"]
    gone = set()
    for path in [*pages, *package.rglob("*.py"), *(ROOT / "tests/kit").rglob("*.*")]:
        if "__pycache__" in path.parts:
            continue
        for named in re.findall(r"(?<![\w./<{-])((?:[a-z_]+/)+[a-z_]+\.py)\b", path.read_text()):
            if not any((base / named).exists() for base in (ROOT, package)):
                gone.add((str(path.relative_to(ROOT)), named))
    assert gone == set()


def test_every_decision_has_its_head_and_is_listed_once() -> None:
    assert len(list((ROOT / DECISIONS).glob("[0-9]*.md"))) >= 90  # a decision is never removed
    assert faulty_decisions(ROOT) == []


PAGE = """# The `lake`: what's in_it, and *why*

## Twice
## Twice

```bash
# no heading
```
"""


def planted(root: Path, link: str) -> Path:
    """Two pages, one of which has a link."""
    (root / "docs/how-to").mkdir(parents=True)
    (root / "README.md").write_text(f"Text with [a link]({link}) in it.\n")
    (root / "docs/how-to/page.md").write_text(PAGE)
    (root / "picture.svg").write_text("<svg/>")
    return root


@pytest.mark.parametrize(
    "link",
    [
        "docs/how-to/page.md",
        "docs/how-to/page.md#the-lake-whats-in_it-and-why",
        "docs/how-to/page.md#twice",
        "docs/how-to/page.md#twice-1",
        "docs/how-to",
        "picture.svg",
        "https://example.com/nowhere#at-all",
        "mailto:somebody@example.com",
    ],
)
def test_a_link_that_github_follows_is_no_fault(tmp_path: Path, link: str) -> None:
    assert broken_links(planted(tmp_path, link)) == []


@pytest.mark.parametrize(
    "link",
    [
        "docs/how-to/gone.md",
        "docs/how-to/Page.md",
        "docs/how-to/page.md#twice-2",
        "docs/how-to/page.md#no-heading",
        "docs/how-to/page.md#Twice",
        "#nothing",
        "../beside/file.md",
        "/docs/how-to/page.md",
    ],
)
def test_a_link_that_leads_nowhere_is_told(tmp_path: Path, link: str) -> None:
    [told] = broken_links(planted(tmp_path, link))
    assert told.startswith(f"README.md: {link}: ")


@pytest.mark.parametrize(
    "text",
    ["![a picture](gone.png)", '<img alt="" src="gone.png">', "[a name]: gone.png", "[over\ntwo lines](gone.png)"],
)
def test_every_way_to_write_a_link_is_looked_at(tmp_path: Path, text: str) -> None:
    (tmp_path / "README.md").write_text(f"{text}\n")
    assert len(broken_links(tmp_path)) == 1


@pytest.mark.parametrize("text", ["`[code](gone.md)`", "```\n[code](gone.md)\n```", "`` `[code](gone.md) ``"])
def test_code_holds_no_links(tmp_path: Path, text: str) -> None:
    (tmp_path / "README.md").write_text(f"{text}\n")
    assert broken_links(tmp_path) == []


HEAD = "# {number}. {title}\n\nStatus: {status}\n\nDate: 2026-11-21\n\nRoom: lake\n\n## Decision\n\nText.\n"
NEWER = "superseded by [0002](0002-b.md)"
INDEX = f"""# Decisions

## lake

| 0001 | [A](0001-a.md) | {NEWER} | 2026-11-21 |
| 0002 | [B](0002-b.md) | accepted | 2026-11-21 |
"""


def written(root: Path) -> Path:
    """Two decisions, the second of which replaced the first, and their index."""
    folder = root / DECISIONS
    folder.mkdir(parents=True)
    (folder / "0001-a.md").write_text(HEAD.format(number="0001", title="A", status=NEWER))
    (folder / "0002-b.md").write_text(HEAD.format(number="0002", title="B", status="accepted"))
    (folder / "README.md").write_text(INDEX)
    return folder


def test_whole_decisions_have_no_fault(tmp_path: Path) -> None:
    written(tmp_path)
    assert faulty_decisions(tmp_path) == []


@pytest.mark.parametrize(
    ("file", "now", "then"),
    [
        ("0002-b.md", "# 0002. B", "# B"),
        ("0002-b.md", "# 0002. B", "# 0003. B"),
        ("0002-b.md", "Status: accepted\n\n", ""),
        ("0002-b.md", "accepted", "perhaps"),
        ("0002-b.md", "2026-11-21", "2026-13-21"),
        ("0002-b.md", "2026-11-21", "2026-11-22"),
        ("0002-b.md", "Date: 2026-11-21\n\n", ""),
        ("0002-b.md", "Room: lake\n\n", ""),
        ("0002-b.md", "Room: lake", "Room: cellar"),
        ("0002-b.md", "Room: lake", "Room: stats"),
        ("0001-a.md", "[0002](0002-b.md)", "[0003](0003-c.md)"),
        ("0001-a.md", "[0002](0002-b.md)", "[0001](0001-a.md)"),
        ("0001-a.md", "[0002](0002-b.md)", "[0003](0002-b.md)"),
        ("README.md", "| 0002 |", "| 0003 |"),
        ("README.md", "[B](0002-b.md)", "[B](0001-a.md)"),
        ("README.md", "| accepted |", "| superseded by [0001](0001-a.md) |"),
        ("README.md", "| 0002 | [B](0002-b.md) | accepted | 2026-11-21 |\n", ""),
        (
            "README.md",
            "2026-11-21 |\n| 0002",
            "2026-11-21 |\n| 0001 | [A](0001-a.md) | accepted | 2026-11-21 |\n| 0002",
        ),
        ("README.md", "[B](0002-b.md)", "[B](0004-d.md)"),
    ],
)
def test_a_faulty_decision_is_told(tmp_path: Path, file: str, now: str, then: str) -> None:
    path = written(tmp_path) / file
    assert now in path.read_text()
    path.write_text(path.read_text().replace(now, then))
    assert faulty_decisions(tmp_path)


def test_a_number_that_is_left_out_or_given_twice_is_told(tmp_path: Path) -> None:
    folder = written(tmp_path)
    (folder / "0001-c.md").write_text(HEAD.format(number="0001", title="C", status="accepted"))
    assert any("each once" in fault for fault in faulty_decisions(tmp_path))


def test_the_licence_is_there_and_contributors_are_told() -> None:
    assert "Apache License\n                           Version 2.0, January 2004" in (ROOT / "LICENSE").read_text()
    assert "[Apache License 2.0](LICENSE)" in (ROOT / "CONTRIBUTING.md").read_text()
