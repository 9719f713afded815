"""Registries for tests: a pack of one model and one feature, versions that hold hardly anything, and who signs."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache, partial
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import yaml

from propensity.kernel.callers import Approvers, Role
from propensity.kernel.errors import ConflictError
from propensity.lake.json_objects import dumps
from propensity.pack.domain.definition import parse_definition
from propensity.pack.domain.model_spec import Policy
from propensity.ports import ObjectStore
from propensity.registry.domain.ledger import GateSummary
from propensity.registry.domain.ledger import LedgerLine as Line
from propensity.registry.domain.ledger import model_standing as standing
from propensity.registry.versions import append_to_ledger as append_line
from propensity.registry.versions import present_champion
from propensity.release.domain.promotion import Request, release_line
from propensity.release.domain.promotion import registration_line as settle
from propensity.release.register_model import register_model
from propensity.runtime.pack_files import pack_files
from tests.fakes.memory import MemoryMetrics, MemoryStore, MemoryWorkflows
from tests.kit.specs import model_fields

ACCOUNT = "123456789012"
APPROVERS = Approvers(ACCOUNT, "Scientist", "Owner")
MODEL = "m"
AT = "2026-01-01"


def signed(role: str, person: str, account: str = ACCOUNT) -> str:
    """The ARN by which API Gateway names who signed a request."""
    return f"arn:aws:sts::{account}:assumed-role/{role}/{person}"


TECHNICAL, BUSINESS = signed("Scientist", "anna"), signed("Owner", "bert")


class Scorer:
    """A model whose bytes are its number of features, such as b"1". Other bytes are a model that cannot be loaded."""

    def __init__(self, onnx: bytes) -> None:
        if not onnx.isdigit():
            raise ConflictError("model.onnx cannot be loaded")
        self.width = int(onnx)

    def predict(self, matrix: Any) -> Any:
        return np.full(len(matrix), 0.5)


@cache
def pack(policy: Policy) -> dict[str, str]:
    files: dict[str, Any] = {
        "pack.yaml": {
            "name": "p",
            "description": "d",
            "entity": "customer_id",
            "partition_key": "tenant",
            "buckets": 1,
            "datasets": [],
            "models": [MODEL],
        },
        f"models/{MODEL}.yaml": model_fields(
            name=MODEL, candidates=[{"family": "hist_gradient_boosting"}], promotion={"policy": policy}
        ),
        "features/g.yaml": {
            "group": "g",
            "description": "d",
            "owner": "o",
            "features": [{"name": "f", "description": "d"}],
        },
    }
    return {path: yaml.safe_dump(value) for path, value in files.items()} | {"features/g.sql": "select 1"}


def trainable(pack: str) -> SimpleNamespace:
    """The ports of whoever starts trainings of a pack that ships, all in memory and empty."""
    return SimpleNamespace(
        pack=pack,
        pack_files=pack_files(pack),
        lake=MemoryStore(),
        workflows=MemoryWorkflows(),
        metrics=MemoryMetrics(),
    )


@dataclass
class Ports:
    """The ports that a registry needs."""

    policy: Policy = "automatic"
    lake: ObjectStore = field(default_factory=MemoryStore)
    pack: str = "p"
    metrics: MemoryMetrics = field(default_factory=MemoryMetrics)

    def __post_init__(self) -> None:
        self.pack_files = pack(self.policy)

    def scorer(self, onnx: bytes) -> Scorer:
        return Scorer(onnx)

    def plan(self, day: int) -> str:
        """Plan a training, whose gates hold it against the champion of now; its run."""
        run = f"runs/train/{MODEL}/2026-{day:04d}"
        plan: dict[str, Any] = {
            "model": MODEL,
            "as_of": AT,
            "dates": [],
            "groups": [],
            "feature_set": "f",
            "silver": {},
            "columns": {},
            "champion": present_champion(self.lake, MODEL),
        }
        self.lake.put_new(f"{run}/plan.json", dumps(plan))
        return run

    def register(self, day: int, *, good: bool = True, onnx: bytes = b"1", dates: int = 1) -> dict[str, Any]:
        """Register a run whose steps are done, planned before or just now; what register_model answers.

        `dates` of seven training dates have rows.
        """
        run, lake = self.plan(day), self.lake
        definition = parse_definition(self.pack_files, MODEL, where="p", entity="customer_id")
        calibration = {"method": "none", "raw_logit": [0, 1], "calibrated_logit": [0, 1], "rows": 1, "positives": 1}
        made = {
            "model.onnx": onnx,
            "calibration.json": dumps(calibration),
            "explanation.json": dumps({"kind": "opaque"}),
            "reference.json": dumps({"base_rate": 0.1}),
            "training.json": dumps({"dates": [{"rows": 5 * (number < dates)} for number in range(7)]}),
        }
        gates = [{"name": "parity", "passed": True}, {"name": "min_positives", "passed": good}]
        evaluation = {
            "files": {name: f"{run}/{name}" for name in made},
            "metrics": {"auc": {}, "rows": 1, "positives": 1},
            "gates": gates,
            "family": "hist_gradient_boosting",
            "parameters": {},
            "packages": {},
        }
        evaluated = {"evaluation.json": dumps(evaluation)}
        texts = {f"definition/{path}": body.encode() for path, body in definition.files().items()}
        for name, body in (made | evaluated | texts).items():
            lake.put_new(f"{run}/{name}", body)
        return register_model(cast(Any, self), run=run, at="2025-07-01T03:10:00Z")


def open_registry(policy: Policy = "automatic", lake: ObjectStore | None = None) -> Any:
    """An empty registry's ports, with `register`."""
    return Ports(policy, lake or MemoryStore())


def crown(store: ObjectStore, model: str, version: int) -> Line:
    """Make a version champion, as its training run would where all gates passed."""
    gates = GateSummary(passed=(), failed=())
    asked = Request(model, version, by=f"run {version}", why="test", at=AT, gates=gates)
    return append_line(store, model, lambda known: settle(asked, "automatic", standing(known).champion, known))


def let_leave(store: ObjectStore, model: str, version: int) -> None:
    """Release a version's lists, as two people would."""
    signers: tuple[tuple[Role, str], ...] = (("technical", TECHNICAL), ("business", BUSINESS))
    for role, by in signers:
        asked = Request(model, version, by=by, why="test", at=AT, gates=GateSummary(passed=(), failed=()))
        append_line(store, model, partial(release_line, asked, role))
