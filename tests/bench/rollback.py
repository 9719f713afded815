"""How long a rollback takes: one call of the function's handler in a fresh process, over S3's protocol.

What the call does is all of it: imports, the ledger, the old artifact loaded and checked, a row scored, the line
written. The store is moto's server on this machine, which shares its cores: a request takes 3 to 10 ms when it is calm.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench.measure import Claim, timed

MODEL = "service"
LINES = 60  # of the ledger; five years of a monthly model
BAR = 2.0  # seconds
ACCOUNT = "123456789012"


def claims(work: Path, runs: int) -> list[Claim]:
    """Roll back from version 2 (boosted trees) to version 1 (a forest), and the other way, by turns; the median."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        with environment(f"http://{host}:{port}"):
            size = seed()
            taken = [timed(roll_back, 1 + turn % 2)[0] for turn in range(runs)]
    finally:
        server.stop()
    told = f"{LINES} ledger lines, forest of {size / 1e6:.0f} MB"
    return [Claim.of("rollback, seconds, in a fresh process", median(taken), None, BAR, runs, told)]


@contextmanager
def environment(endpoint: str) -> Iterator[None]:
    """The variables that template.yaml gives the function, and the address of AWS."""
    given = {
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": endpoint,
        "PACK": "automotive",
        "LAKE_BUCKET": "lake",
        "ACCOUNT_ID": ACCOUNT,
        "POWERTOOLS_SERVICE_NAME": "bench",
        "POWERTOOLS_METRICS_NAMESPACE": "Bench",
    }
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def seed() -> int:
    """Make two versions of the pack's model, fitted on noise, that took turns as champion; the bytes of the first."""
    import boto3

    from propensity.lake.json_objects import dumps
    from propensity.lake.silver_tables import columns_named, shape_of
    from propensity.pack.current import contract_of, pack_definition, pack_info
    from propensity.registry.domain.ledger import CHAMPION, GateSummary, LedgerLine, ledger_key
    from propensity.registry.versions import recorded_files, register
    from propensity.runtime import composition

    boto3.client("s3").create_bucket(Bucket="lake")
    ports = composition.ports()
    definition = pack_definition(ports, MODEL)
    shapes = {dataset: shape_of(contract_of(ports, dataset)) for dataset in pack_info(ports).datasets}
    families: tuple[tuple[str, dict[str, Any]], ...] = (
        ("random_forest", {"n_estimators": 100, "min_samples_leaf": 20}),
        ("hist_gradient_boosting", {"max_iter": 200}),
    )
    fitted = [_onnx(family, settings, len(definition.feature_names)) for family, settings in families]
    for number, onnx in enumerate(fitted, start=1):
        files = {
            "model.onnx": onnx,
            "calibration.json": dumps(
                {"method": "none", "raw_logit": [0, 1], "calibrated_logit": [0, 1], "rows": 1, "positives": 1}
            ),
            "explanation.json": dumps({"kind": "opaque"}),
            "gates.json": dumps([{"name": "parity", "passed": True}]),
            **{f"definition/{name}": body.encode() for name, body in definition.files().items()},
        }
        schema = {"features": list(definition.feature_names), "columns": columns_named(definition, shapes)}
        lineage = {"run": f"run-{number}", "feature_set": definition.feature_set, "silver": {}, "schema": schema}
        register(ports.lake, MODEL, files, {**lineage, "files": recorded_files(files)})
    for number in range(1, LINES + 1):
        line = LedgerLine(
            number=number,
            action="promote",
            alias=CHAMPION,
            version=2 - number % 2,
            previous=1 + number % 2 if number > 1 else None,
            by="bench",
            why="bench",
            at="2026-01-01",
            gates=GateSummary(passed=("parity",), failed=()),
        )
        ports.lake.put_new(ledger_key(MODEL, number), dumps(line.model_dump()))
    return len(fitted[0])


def _onnx(family: str, settings: Mapping[str, Any], width: int) -> bytes:
    import numpy as np

    from propensity.adapters.sklearn_trainer import SklearnTrainer
    from propensity.ports import Sample

    chance = np.random.default_rng(7)
    matrix = chance.normal(size=(20_000, width)).astype(np.float32)
    labels = (matrix[:, 0] + chance.normal(size=len(matrix)) > 0).astype(np.int8)
    return SklearnTrainer().fit(family, settings, Sample(matrix, labels), seed=7).onnx()


def roll_back(version: int) -> None:
    """Roll back by the function's handler, in a process of its own like a cold function. Its log is dropped."""
    from tests.kit.handlers import CONTEXT, event, handler

    asked = event("manage_registry")
    asked["pathParameters"]["model"] = MODEL
    asked["resource"] += "/rollback"
    body = json.dumps({"version": version, "why": "bench"})
    with redirect_stdout(StringIO()):
        answer = handler("manage_registry")({**asked, "httpMethod": "POST", "body": body}, CONTEXT)
    said = json.loads(answer["body"])
    if answer["statusCode"] != 200 or said["action"] != "roll_back" or said["version"] != version:
        raise SystemExit(f"rollback to version {version}: {answer['statusCode']} {answer['body']}")
