"""The rooms of the code: their order, their size, and the picture of them in docs/why/architecture.md."""

from __future__ import annotations

import ast
import re
import tomllib
from collections import Counter
from functools import cache
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = ROOT / "shared/src/propensity"
PAGE = (ROOT / "docs/why/architecture.md").read_text()
LAYERS: list[str] = next(
    contract["layers"]
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    if contract["type"] == "layers"
)
OUTSIDE = {"runtime", "adapters"}  # the picture is of the rooms; these two may import all of them
ROOMS = {room for layer in LAYERS for room in layer.split(" | ")} - OUTSIDE
MODULES = sorted(PACKAGE.rglob("*.py"))
HANDLERS = sorted((ROOT / "functions").glob("*/handler.py"))
# what a handler needs of the ground to read its event: errors to raise, and the Silver that a caller asks for
GROUND = {"propensity.kernel.errors", "propensity.lake.domain.time_travel"}


@cache
def imports() -> dict[str, frozenset[str]]:
    """By room, the rooms that it imports."""
    graph = grimp.build_graph("propensity", cache_dir=None)
    for room in graph.find_children("propensity"):
        graph.squash_module(room)
    return {
        room: frozenset(
            name.removeprefix("propensity.") for name in graph.find_modules_directly_imported_by(f"propensity.{room}")
        )
        & (ROOMS - {room})
        for room in ROOMS
    }


def below(room: str) -> set[str]:
    """The rooms that a room reaches by its imports, directly or through others."""
    return {found for direct in imports()[room] for found in (direct, *below(direct))}


def arrows() -> set[tuple[str, str]]:
    """The imports that no other path implies (a transitive reduction): what a picture has to show."""
    return {
        (room, direct)
        for room, directs in imports().items()
        for direct in directs
        if not any(direct in below(other) for other in directs - {direct})
    }


def drawn(page: str) -> list[tuple[str, str]]:
    picture = page.partition("<!-- rooms -->")[2].partition("<!-- /rooms -->")[0]
    return re.findall(r"^    (\w+) --> (\w+)$", picture, re.MULTILINE)


def test_the_picture_of_the_rooms_is_what_they_import() -> None:
    shown = Counter(drawn(PAGE))
    expected = "\n".join(f"    {upper} --> {lower}" for upper, lower in sorted(arrows(), key=place))
    assert set(shown) == arrows(), f"write these lines between the marks of docs/why/architecture.md:\n{expected}"
    assert max(shown.values()) == 1


def place(arrow: tuple[str, str]) -> tuple[int, str, int, str]:
    """From the top of the house down."""
    level = {room: number for number, layer in enumerate(LAYERS) for room in layer.split(" | ")}
    upper, lower = arrow
    return level[upper], upper, level[lower], lower


def test_the_pages_order_of_the_rooms_is_the_one_that_is_linted() -> None:
    order = PAGE.partition("```text\n")[2].partition("```")[0].splitlines()
    assert [set(re.split(r", | \| ", line)) for line in order] == [
        OUTSIDE,
        *({*layer.split(" | ")} for layer in LAYERS if layer not in OUTSIDE),
    ]


def test_every_room_is_explained_by_the_page_and_says_itself_what_it_is() -> None:
    assert set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)) == ROOMS - {"ports"}
    for room in ROOMS:
        assert re.match(r'"""[A-Z].+\."""\n', (PACKAGE / room / "__init__.py").read_text()) or room == "ports", room


def test_no_module_has_more_than_400_lines_and_no_room_more_than_20_modules() -> None:
    modules = [*MODULES, *(ROOT / "shared/src/propensity_cli").rglob("*.py")]
    assert {str(path): lines for path in modules if (lines := len(path.read_text().splitlines())) > 400} == {}
    rooms = Counter(path.relative_to(PACKAGE).parts[0] for path in MODULES if path.stem != "__init__")
    assert {room: count for room, count in rooms.items() if count > 20} == {}


@pytest.mark.parametrize("path", HANDLERS, ids=lambda path: path.parent.name)
def test_a_handler_imports_the_runtime_and_its_use_cases_alone(path: Path) -> None:
    """The use case of its own name; one that serves routes of a kind may call others of the rooms at hand."""
    named = set(re.findall(r"^from (propensity\.[\w.]+) import", path.read_text(), re.MULTILINE))
    use_cases = {name for name in named if not name.startswith("propensity.runtime")} - GROUND
    functions = {handler.parent.name for handler in HANDLERS} | {"retract_upload"}
    assert path.parent.name in {name.rpartition(".")[2] for name in use_cases}
    for name in use_cases:
        room, _, module = name.removeprefix("propensity.").partition(".")
        assert room in ROOMS
        assert module in functions, f"{name} is no use case of a function"


def test_a_rooms_tests_stand_under_its_name() -> None:
    """`adapters` and `runtime` have tests of their own; the rest is of the project, packs, stack or command line."""
    others = OUTSIDE | {"project", "packs", "local", "ports", "cli"}
    for kind in ("unit", "functional", "contract"):
        folders = {path.parent.name for path in (ROOT / "tests" / kind).rglob("test_*.py")}
        assert folders <= ROOMS | others, kind


def test_no_name_stands_for_two_things() -> None:
    """Public classes, functions and modules: who searches for a name finds one definition, and no other thing."""
    places: dict[str, list[str]] = {}
    for path in MODULES:
        room = str(path.relative_to(PACKAGE))
        if path.stem != "__init__" and not room.startswith(("runtime/", "adapters/", "ports/")):
            places.setdefault(f"module {path.stem}", []).append(room)
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(room)
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_an_adapter_imports_ports_and_pure_floors_alone() -> None:
    graph = grimp.build_graph("propensity", cache_dir=None)
    floors = re.compile(r"propensity\.(adapters|ports|kernel|stats|\w+\.domain)(\.|$)")
    for adapter in graph.find_children("propensity.adapters"):
        named = graph.find_modules_directly_imported_by(adapter)
        assert {name for name in named if not floors.match(name)} == set(), adapter


def test_the_folders_of_tests_that_pages_name_are_there() -> None:
    for page in (ROOT / "CONTRIBUTING.md", ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        for folder in re.findall(r"\btests/[a-z]+(?:/[a-z]+)?(?=[`/ ,)]|\.\s)", page.read_text()):
            assert (ROOT / folder).is_dir(), f"{page.relative_to(ROOT)}: {folder}"
