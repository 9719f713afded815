"""template.yaml has one section for each room, from the ground up, and each function stands in its room's section."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cfnlint.decode import cfn_yaml

ROOT = Path(__file__).resolve().parents[3]
GROUND = ("storage", "api", "layers")
ROOMS = (
    "ingest",
    "identity",
    "features",
    "scoring",
    "serving",
    "training",
    "evaluation",
    "ladder",
    "feedback",
    "portal",
    "delivery",
    "operations",
    "erasure",
    "release",
    "backtest",
)
SECTIONS = (*GROUND, *ROOMS, "workflows")
HEADING = re.compile(r"  # (\w+): \S.*\S -{3,}")
RESOURCE = re.compile(r"  (\w+):")
FUNCTION, WORKFLOW = "AWS::Serverless::Function", "AWS::Serverless::StateMachine"


class Resource(NamedTuple):
    """Where a resource stands. `block` is the function or workflow that it stands behind, or is."""

    section: str | None
    block: str | None
    definition: dict[str, Any]


def read(path: Path) -> tuple[list[str], dict[str, Resource]]:
    """The headings of a template in their order, and its resources by name."""
    defined: dict[str, Any] = cfn_yaml.load(str(path))["Resources"]
    _, _, text = path.read_text().partition("\nResources:\n")
    headings: list[str] = []
    found: dict[str, Resource] = {}
    block: str | None = None
    for line in re.split(r"^\w", text, maxsplit=1, flags=re.MULTILINE)[0].splitlines():
        if heading := HEADING.fullmatch(line):
            headings.append(heading[1])
            block = None
        elif named := RESOURCE.fullmatch(line):
            name = named[1]
            block = name if defined[name]["Type"] in (FUNCTION, WORKFLOW) else block
            found[name] = Resource(headings[-1] if headings else None, block, defined[name])
    assert set(found) == set(defined), "each resource has its name on a line of its own"
    return headings, found


HEADINGS, RESOURCES = read(ROOT / "template.yaml")
FUNCTIONS = {name: one for name, one in RESOURCES.items() if one.definition["Type"] == FUNCTION}


def folder(function: Resource) -> str:
    return str(function.definition["Properties"]["CodeUri"]).strip("/").removeprefix("functions/")


def imported_from(handler: Path) -> set[str]:
    """The package from which a handler imports the use case of its own name."""
    use_case = re.compile(rf"propensity\.([\w.]+)\.{handler.parent.name}")
    modules = [node.module for node in ast.walk(ast.parse(handler.read_text())) if isinstance(node, ast.ImportFrom)]
    return {found[1] for module in modules if module and (found := use_case.fullmatch(module))}


def test_the_sections_stand_from_the_ground_up_and_each_once() -> None:
    assert tuple(HEADINGS) == SECTIONS


def test_no_resource_stands_outside_of_a_section() -> None:
    assert [name for name, one in RESOURCES.items() if one.section is None] == []


def test_each_room_has_functions_and_no_other_section_has_one() -> None:
    assert {one.section for one in FUNCTIONS.values()} == set(ROOMS)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_stands_in_the_section_of_the_room_that_its_handler_imports(name: str) -> None:
    function = FUNCTIONS[name]
    handler = ROOT / "functions" / folder(function) / "handler.py"
    module = f"propensity.{function.section}.{handler.parent.name}"
    assert imported_from(handler) == {function.section}, (
        f"template.yaml has {name} in its section {function.section}, so that its handler imports from {module}"
    )


def queues_of(name: str) -> set[str]:
    """The queues that a function reads, and their dead-letter queues."""
    events = FUNCTIONS[name].definition["Properties"].get("Events", {}).values()
    queues = {event["Properties"]["Queue"]["Fn::GetAtt"][0] for event in events if event["Type"] == "SQS"}
    policies = [RESOURCES[queue].definition["Properties"]["RedrivePolicy"] for queue in queues]
    return queues | {policy["deadLetterTargetArn"]["Fn::GetAtt"][0] for policy in policies}


def test_a_functions_queue_and_its_dead_letters_stand_behind_the_function() -> None:
    reading = {name: queues for name in FUNCTIONS if (queues := queues_of(name))}
    assert {"ValidateUpload", "PromoteSilver", "LogInference"} <= set(reading)
    for name, queues in reading.items():
        assert {queue: RESOURCES[queue].block for queue in queues} == dict.fromkeys(queues, name)
    every = {name for name, one in RESOURCES.items() if one.definition["Type"] == "AWS::SQS::Queue"}
    assert every == set().union(*reading.values())


def test_an_alarm_stands_behind_what_it_watches() -> None:
    alarms = {name: one for name, one in RESOURCES.items() if one.definition["Type"] == "AWS::CloudWatch::Alarm"}
    free = []
    for name, alarm in alarms.items():
        dimensions = json.dumps(alarm.definition["Properties"]["Dimensions"])
        named = set(re.findall(r'"(\w+)"', dimensions))
        # SAM makes the dead letters of a function's schedule, and names them so
        functions = {name.removesuffix("DeadLetters") for name in named - set(RESOURCES)} & set(FUNCTIONS)
        watched = (named & set(RESOURCES)) | functions
        if not watched:
            free.append(alarm.definition["Properties"]["Namespace"])
        assert {RESOURCES[one].block for one in watched} <= {alarm.block}, name
    # such an alarm watches the whole API, or a metric of our own, whatever function counted it
    assert set(free) == {"AWS/ApiGateway", "Propensity"}


def test_a_heading_or_a_function_in_the_wrong_place_is_found(tmp_path: Path) -> None:
    text = (ROOT / "template.yaml").read_text()
    path = tmp_path / "template.yaml"

    path.write_text(re.sub(r"(?m)^  # serving: .*\n", "", text))
    assert tuple(read(path)[0]) != SECTIONS
    assert read(path)[1]["ServeScores"].section == "scoring"

    path.write_text(text.replace("  # storage: ", "  # Storage, the first: "))
    assert read(path)[1]["LandingBucket"].section is None
