"""docs/reference/functions.md names every function and workflow, its variable in `env`, and what starts it."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

from cfnlint.decode import cfn_yaml

from tests.stack.up import variable

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs/reference/functions.md"
RESOURCES: dict[str, Any] = cfn_yaml.load(str(ROOT / "template.yaml"))["Resources"]
KINDS = ("AWS::Serverless::Function", "AWS::Serverless::StateMachine")


def started_by(name: str) -> str:
    """What starts a function or workflow, by the template."""
    told = []
    for event in RESOURCES[name]["Properties"].get("Events", {}).values():
        about = event["Properties"]
        match event["Type"]:
            case "Api":
                told.append(f"`{about['Method']} {about['Path']}`")
            case "ScheduleV2":
                told.append(about["Description"].partition(",")[0])
            case "SQS":
                told.append(f"the queue `{about['Queue']['Fn::GetAtt'][0]}`")
    workflows = [
        other
        for other, one in RESOURCES.items()
        if one["Type"] == KINDS[1] and name in one["Properties"]["DefinitionSubstitutions"]
    ]
    told += [f"`{other}`" for other in starters(name)]
    return "; ".join([*told, *(f"the workflow `{other}`" for other in workflows)]) or "by hand"


def starters(name: str) -> list[str]:
    """The functions that may start executions of a workflow."""
    if RESOURCES[name]["Type"] != KINDS[1]:
        return []
    called = RESOURCES[name]["Properties"]["Name"]["Fn::Sub"].removeprefix("${AWS::StackName}")
    return [
        other
        for other, one in RESOURCES.items()
        if one["Type"] == KINDS[0]
        for policy in one["Properties"].get("Policies", ())
        for statement in policy["Statement"]
        if "states:StartExecution" in statement["Action"]
        and f"stateMachine:${{AWS::StackName}}{called}" in str(statement)
    ]


def table() -> str:
    rows = ["| name | variable | started by |", "|---|---|---|"]
    names = sorted(name for name, one in RESOURCES.items() if one["Type"] in KINDS)
    rows += [f"| `{name}` | `{variable(name)}` | {started_by(name)} |" for name in names]
    return "\n".join(rows)


def test_the_page_of_names_is_what_the_template_says() -> None:
    [found] = re.findall(r"<!-- names -->\n(.*?)\n<!-- /names -->", PAGE.read_text(), flags=re.DOTALL)
    assert found == table(), f"put this table between the marks of {PAGE.name}:\n{table()}"


def test_no_two_names_have_one_variable() -> None:
    named = ("AWS::S3::Bucket", *KINDS)
    counts = Counter(variable(name) for name, one in RESOURCES.items() if one["Type"] in named)
    assert counts.most_common(1)[0][1] == 1
    assert not {"LANDING", "LAKE", "LOCAL_API"} & set(counts)
