"""judge_origin: score an origin's customers by its model, rank them within their tenants, and keep what they did."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from propensity.evaluation.evaluations import read_evaluation
from propensity.kernel.errors import EvidenceError
from propensity.kernel.spec import Record
from propensity.ladder.version_files import ladder_files
from propensity.lake.definition_files import read_definition
from propensity.lake.domain.run_names import judged_folder
from propensity.lake.domain.run_records import BuildResult, TrainingPlan
from propensity.lake.json_objects import dumps, read_json
from propensity.lake.run_files import read_plan, results_of
from propensity.pack.domain.definition import Definition
from propensity.ports import Ports
from propensity.registry.artifact import Artifact, load_artifact
from propensity.registry.domain.ladder import HEURISTIC, LADDER, Ladder
from propensity.registry.tenant_models import TenantModels
from propensity.registry.versions import Version, load_version
from propensity.scoring.score_shard import BATCH
from propensity.stats.calibration import Calibration
from propensity.stats.list_places import FEW
from propensity.stats.ranking import decile, mid_ranks
from propensity.training.domain.training_set import gone_within, silent_tenants

COLUMNS = ("tenant_id", "customer_id", "score", "decile", "label", "chosen")


class Judged(Record):
    """The content of `judged.json` in the run of an origin: what it was trained on, and whom it scored.

    `start` and `end` are the label window, [start, end), and outcomes are those known before `known_by`. `version` is
    the registered version that was trained on the origin already; None where the backtest trained. `trained_rows` and
    `trained_positives` are those of the training set, the newest of whose `dates` is `trained_until`. `failed_gates`
    are those of the training. `rows` customers were scored, of whom `positives` converted. `left_out` counts by reason
    those whose outcome could not be seen. `scores` is the key of the file with a row for each customer; its `decile` is
    0 for the unranked.
    """

    run: str
    model: str
    as_of: str
    start: str
    end: str
    known_by: str
    version: int | None
    family: str
    dates: int
    trained_until: str
    trained_rows: int
    trained_positives: int
    failed_gates: tuple[str, ...]
    rows: int
    positives: int
    left_out: Mapping[str, int]
    scores: str


def judge_origin(ports: Ports, *, run: str) -> dict[str, Any]:
    """Write `<run>/judged/scores.parquet` and `<run>/judged.json`, the record `Judged`.

    The customers are scored by the one scoring path (registry/artifact.py), and ranked as rank_run ranks: by mid-ranks
    within the tenant, nobody of a tenant with few customers or with ties. Customers whose outcome could not be seen are
    not ranked. Raises EvidenceError where no customer is left.
    """
    plan = read_plan(ports.lake, run, TrainingPlan)
    definition = read_definition(ports.lake, f"{run}/definition", plan.model)
    window = definition.model.label_window(date.fromisoformat(plan.as_of))
    results = results_of(ports.lake, judged_folder(run), BuildResult, len(plan.groups))
    left_out = Counter[str]()
    for result in results:
        for _, reason, rows in result.left_out:
            left_out[reason] += rows
    newest = _newest(results)
    silent = silent_tenants(newest, until=window.end, silent_days=definition.model.censored.silent_days)
    gone = gone_within(window, silent)
    artifact, trained = _trained(ports, run, plan, definition)
    columns = _scored(ports, artifact, definition, results)
    keep = ~np.isin(columns["tenant_id"], sorted(gone))
    left_out["tenant_silent"] += int((~keep).sum())
    columns = {name: values[keep] for name, values in columns.items()}
    if not keep.any():
        said = ", ".join(f"{count} {reason}" for reason, count in sorted(left_out.items()) if count)
        raise EvidenceError(
            f"model {plan.model}: no customer of origin {plan.as_of} can be judged, left out {said or 'nobody'}; "
            "ask for origins on which there is data"
        )
    order = np.lexsort((columns["customer_id"], columns["tenant_id"]))
    columns = {name: values[order] for name, values in columns.items()}
    heuristic = columns.pop("heuristic")
    columns["decile"] = deciles_within(columns["tenant_id"], columns["score"], heuristic)
    key = f"{judged_folder(run)}/scores.parquet"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scores.parquet"
        ports.frames.write(path, {name: columns[name] for name in COLUMNS})
        ports.lake.upload_new(key, path)
    judged = Judged(
        run=run,
        model=plan.model,
        as_of=plan.as_of,
        start=window.start.isoformat(),
        end=window.end.isoformat(),
        known_by=_known_by(ports, run),
        rows=len(order),
        positives=int(columns["label"].sum()),
        left_out={reason: rows for reason, rows in sorted(left_out.items()) if rows},
        scores=key,
        **trained,
    )
    ports.lake.put_new(f"{run}/judged.json", dumps(judged.model_dump(mode="json")))
    return {"run": run, "model": plan.model, "as_of": plan.as_of, "rows": judged.rows, "positives": judged.positives}


def deciles_within(tenants: Any, scores: Any, heuristic: Any) -> Any:
    """Return the decile 1…10, int64 (n,), of each row on its tenant's list; 0 for a row without a place.

    Nobody has a place on the list of a tenant with fewer than `FEW` customers, of one whose scores are mostly equal,
    and of one that a rate scores (`heuristic`, a mask), as in stats/list_places.py.
    """
    places = np.zeros(len(scores), dtype=np.int64)
    _, codes = np.unique(tenants.astype(str), return_inverse=True)
    order = np.argsort(codes, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(codes[order])) + 1):
        _, equal = np.unique(scores[rows], return_counts=True)
        if len(rows) >= FEW and 2 * equal.max() <= len(rows) and not heuristic[rows].any():
            places[rows] = decile(mid_ranks(scores[rows]))
    return places


def _newest(results: Sequence[BuildResult]) -> dict[str, date]:
    newest: dict[str, date] = {}
    for result in results:
        for tenant, day in result.newest_by_tenant.items():
            newest[tenant] = max(date.fromisoformat(day), newest.get(tenant, date.min))
    return newest


def _trained(ports: Ports, run: str, plan: TrainingPlan, definition: Definition) -> tuple[Artifact, dict[str, Any]]:
    """Return the model of an origin, and what `Judged` says of its training.

    The model is that of the run, or of the version that was trained on this day already.
    """
    store = ports.lake
    if plan.trained_version is not None:
        version = load_version(store, plan.model, plan.trained_version)
        artifact = load_artifact(ports, version, 0)  # later calibrations have seen later outcomes
        family, training = str(version.lineage["family"]), version.json(store, "training.json")
        failed, dates = version.gates(store).failed, version.provenance.dates
    else:
        evaluation = read_evaluation(store, run)
        version = Version(plan.model, 0, run, {})
        explanation = read_json(store, evaluation.files["explanation.json"])
        artifact = Artifact(
            version=version,
            definition=definition,
            model=ports.scorer(store.get(evaluation.files["model.onnx"])),
            calibration=Calibration.from_json(read_json(store, evaluation.files["calibration.json"])),
            explanation=explanation,
            ladder=_ladder(ports, run),
        )
        family, training = evaluation.family, read_json(store, f"{run}/training.json")
        failed = tuple(str(gate["name"]) for gate in evaluation.gates if not gate["passed"])
        dates = tuple(plan.dates)
    told = {
        "version": plan.trained_version,
        "family": family,
        "dates": len(dates),
        "trained_until": max(dates),
        "trained_rows": int(training["rows"]),
        "trained_positives": int(training["positives"]),
        "failed_gates": tuple(failed),
    }
    return artifact, told


def _ladder(ports: Ports, run: str) -> TenantModels | None:
    key = ladder_files(ports.lake, run).get(LADDER)
    return None if key is None else TenantModels(ports, run, Ladder.from_json(read_json(ports.lake, key)))


def _scored(ports: Ports, artifact: Artifact, definition: Definition, results: Sequence[BuildResult]) -> dict[str, Any]:
    """Score the rows of the judged files, some at a time.

    Returns COLUMNS without decile, and the mask `heuristic`, (n,) each.
    """
    names = definition.feature_names
    keys = ["tenant_id", "customer_id", "label", *(["chosen"] if definition.model.filter else [])]
    parts: dict[str, list[Any]] = {name: [] for name in (*COLUMNS, "heuristic") if name != "decile"}
    with tempfile.TemporaryDirectory() as folder:
        for number, result in enumerate(results):
            path = Path(folder) / f"{number:04d}.parquet"
            ports.lake.download(result.features, path)
            for part in ports.frame_streams.batches(path, list(dict.fromkeys([*keys, *names])), BATCH):
                tenants = part.coded("tenant_id")
                each = np.array(tenants.texts, dtype=object)[tenants.codes]
                rungs = artifact.rungs(each)
                parts["tenant_id"].append(each)
                parts["customer_id"].append(part.values("customer_id"))
                parts["score"].append(artifact.score(part.matrix(names), each)[1])
                parts["label"].append(np.asarray(part.values("label"), dtype=np.int64))
                chosen = part.values("chosen") if definition.model.filter else np.zeros(len(part))
                parts["chosen"].append(np.asarray(chosen, dtype=np.int64))
                parts["heuristic"].append(np.zeros(len(part), bool) if rungs is None else rungs == HEURISTIC)
            path.unlink()
    return {name: np.concatenate(values) for name, values in parts.items()}


def _known_by(ports: Ports, run: str) -> str:
    """Return the day before which the outcomes of the judged items were known, as the first item says."""
    return str(read_json(ports.lake, f"{judged_folder(run)}/items/0001.json")["known_by"])
