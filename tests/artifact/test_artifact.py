"""What ships: the size of each built function, which imports with only its own layers."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.util import MAGIC_NUMBER, cache_from_source
from pathlib import Path
from typing import Any

import pytest
from cfnlint.decode import cfn_yaml

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / ".aws-sam/build"
LIMIT = 240_000_000  # bytes, unzipped, of a function with its layers; Lambda's own limit is 262,144,000

if not (BUILD / "template.yaml").exists():
    pytest.fail("run `make build` first: these tests look at what was built", pytrace=False)

TEMPLATE: dict[str, Any] = cfn_yaml.load(str(BUILD / "template.yaml"))
FUNCTIONS = {
    name: one["Properties"] for name, one in TEMPLATE["Resources"].items() if one["Type"] == "AWS::Serverless::Function"
}
# Lambda's runtime brings boto3; here only these folders of the development environment are on the path
BOTO3 = ("boto3", "botocore", "s3transfer", "jmespath", "urllib3", "dateutil", "six.py")


def code(function: dict[str, Any]) -> Path:
    folder: str = function["CodeUri"]
    return (BUILD / folder).resolve()


def layers(function: dict[str, Any]) -> list[Path]:
    return [BUILD / layer["Ref"] for layer in function["Layers"]]


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.fixture(scope="session")
def runtime_boto3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runtime")
    [packages] = [Path(path) for path in sys.path if path.endswith("site-packages")]
    for name in BOTO3:
        (folder / name).symlink_to(packages / name)
    return folder


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_function_and_its_layers_fit(name: str, record_property: Callable[[str, object], None]) -> None:
    total = size(code(FUNCTIONS[name])) + sum(size(layer) for layer in layers(FUNCTIONS[name]))
    record_property("size", f"{name:<18} {total / 1e6:6.1f} MB of {LIMIT / 1e6:.0f}")
    assert total <= LIMIT


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_function_imports_with_only_its_own_layers(name: str, runtime_boto3: Path) -> None:
    """Import the handler, every module of ours that it loads, and every adapter whose library its layers hold."""
    function = FUNCTIONS[name]
    module, _, attribute = TEMPLATE["Globals"]["Function"]["Handler"].partition(".")
    path = [str(code(function)), *(str(layer / "python") for layer in layers(function)), str(runtime_boto3)]
    script = (
        "import importlib, json, sys\n"
        f"sys.path[:0] = {path!r}\n"
        f"handler = getattr(importlib.import_module({module!r}), {attribute!r})\n"
        "assert callable(handler)\n"
        f"for adapter in {ADAPTERS_OF.get(name, []) + COMMON!r}:\n"
        "    importlib.import_module('propensity.adapters.' + adapter)\n"
        "ours = sorted(one for one in sys.modules if one.startswith('propensity'))\n"
        "print(json.dumps(ours))"
    )
    # -S and -I: no site-packages, no environment, only the layers. -B: writes no bytecode into what ships
    done = subprocess.run([sys.executable, "-S", "-I", "-B", "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2_000:]
    use_case = Path(function["CodeUri"]).name
    [own] = re.findall(
        rf"^from (propensity\.[a-z]+\.{use_case}) import", (code(function) / "handler.py").read_text(), re.MULTILINE
    )
    assert own in json.loads(done.stdout)


COMMON = ["s3_store", "emf_metrics"]
SQL, DELTA, ARROW, ONNX = ["duckdb_sql"], ["duckdb_sql", "delta_tables"], ["frames", "onnx_scorer"], ["onnx_scorer"]
WORKBOOK = ["calamine_workbooks"]
ADAPTERS_OF = {
    "ValidateUpload": [*SQL, *WORKBOOK, "sqs_queue"],
    "PromoteSilver": DELTA,
    "StartDueRuns": ["step_functions"],
    "RequestRetraining": ["step_functions"],
    "ReportRuns": ["step_functions"],
    "PlanTraining": DELTA,
    "ReplayVersion": DELTA,
    "CheckReplay": ARROW,
    "BuildFeatures": SQL,
    "FitCandidate": ["arro3_frames", "sklearn_trainer"],
    "EvaluateCandidate": ARROW,
    "FitLadder": ["arro3_frames", "sklearn_trainer"],
    "EvaluateLadder": ARROW,
    "PlanScoring": DELTA,
    "ScoreShard": ARROW,
    "RankRun": SQL,
    "LabelShard": ARROW,
    "CommitRun": DELTA,
    "PublishScores": [*SQL, "dynamo_online"],
    "RunMatchback": DELTA,
    "CheckDrift": DELTA,
    "AuditFeatures": DELTA,
    "ServeScores": [*ONNX, "dynamo_online", "sqs_queue"],
    "ManageRegistry": ONNX,
    "RecalibrateModel": ARROW,
    "LogInference": DELTA,
    "MaintainTables": ["delta_tables"],
    "CheckReferences": DELTA,
    "ResolveIdentities": DELTA,
    "ReplayQuarantine": [*SQL, *WORKBOOK, "sqs_queue"],
    "CheckQuarantine": DELTA,
    "DescribeFeatures": ["sqlglot_lineage"],
    "ReportFeatures": ["sqlglot_lineage"],
    "ReportReadiness": DELTA,
    "ReportLandings": ["delta_tables"],
    "ExplainScore": DELTA,
    "ManageTenants": [*DELTA, *WORKBOOK, "s3_upload_access"],
    "ExportTenant": DELTA,
    "RequestExport": ["step_functions", "s3_download_access"],
    "PlanExport": DELTA,
    "ReviewCustomers": DELTA,
    "BuildExport": DELTA,
    "RebucketSilver": DELTA,
    "RebuildSilver": DELTA,
    "EraseCustomer": [*DELTA, "dynamo_online"],
    "EraseTenant": [*DELTA, "dynamo_online"],
    "RequestBacktest": [*SQL, "step_functions"],
    "JudgeOrigin": ARROW,
    "ReportBacktest": ARROW,
}


def test_every_function_stands_in_the_table_of_adapters() -> None:
    assert set(FUNCTIONS) - set(ADAPTERS_OF) == {"RegisterModel"}  # needs the common ones only


def test_the_built_code_layer_holds_what_the_source_tree_holds() -> None:
    source, built = ROOT / "shared/src/propensity", BUILD / "CodeLayer/python/propensity"
    wanted = {path.relative_to(source) for path in source.rglob("*") if path.suffix in (".py", ".sql", ".yaml")}
    assert wanted == {path.relative_to(built) for path in built.rglob("*") if path.suffix in (".py", ".sql", ".yaml")}
    stale = [str(path) for path in wanted if (source / path).read_bytes() != (built / path).read_bytes()]
    assert not stale, "run `make build`"


def test_every_event_belongs_to_a_function_and_every_function_that_takes_events_has_one() -> None:
    folders = {Path(function["CodeUri"]).name for function in FUNCTIONS.values()}
    named = {path.stem for path in (ROOT / "events").glob("*.json")}
    assert named
    assert named <= folders
    assert {"validate_upload", "promote_silver", "serve_scores"} <= named


def test_no_built_file_names_a_path_of_this_machine() -> None:
    home = os.fsencode(ROOT)
    for path in (BUILD / "CodeLayer/python/propensity").rglob("*.py*"):
        assert home not in path.read_bytes()


def test_the_code_layer_holds_bytecode_of_each_module_that_is_taken_as_it_is() -> None:
    """Hash-based and unchecked (PEP 552): otherwise Python compares times with the source, and a zip keeps none."""
    package = BUILD / "CodeLayer/python/propensity"
    for path in package.rglob("*.py"):
        compiled = Path(cache_from_source(str(path))).read_bytes()
        assert compiled[:4] == MAGIC_NUMBER
        assert int.from_bytes(compiled[4:8], "little") == 0b01, path
