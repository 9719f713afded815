"""evaluate_candidate: every candidate held against scikit-learn and against the future, and one chosen."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import numpy as np

from propensity.evaluation.card import card_facts, card_files, write_card
from propensity.evaluation.case import Case
from propensity.evaluation.champions import champion_of
from propensity.evaluation.gains_report import report_columns, report_of
from propensity.evaluation.golden_cases import golden_root, read_cases
from propensity.evaluation.golden_set import freeze_golden
from propensity.evaluation.judge import judge
from propensity.evaluation.mlflow_files import write_mlflow_files
from propensity.evaluation.newest_fold import Held, group
from propensity.evaluation.parity import parity_of, read_frame
from propensity.evaluation.slicing import judged_columns
from propensity.kernel.errors import EvidenceError
from propensity.kernel.tenant import TENANT
from propensity.lake.definition_files import read_definition
from propensity.lake.domain.run_records import Built, TrainingPlan
from propensity.lake.json_objects import dumps, read_json, write_once
from propensity.lake.run_files import read_plan, read_results, results_of
from propensity.pack.domain.model_spec import ModelSpec
from propensity.ports import Ports
from propensity.stats.calibration import FITS, Calibration, choose, identity
from propensity.stats.drift import reference_bins
from propensity.stats.figures import auc, average_precision, brier, brier_skill, calibration, ece, lift, log_loss
from propensity.training.data import known_by
from propensity.training.domain.selection import Entrant, select
from propensity.training.report import read_hashed, training_report


def evaluate_candidate(ports: Ports, *, run: str) -> dict[str, Any]:
    """Write `<run>/evaluation.json`, calibration.json and reference.json of the chosen candidate, and training.json.

    A candidate whose ONNX disagrees with scikit-learn is out of the choice; were it the only one, it is
    registered with its failed gate and never promoted. Same inputs, same bytes.
    """
    plan = read_plan(ports.lake, run, TrainingPlan)
    definition = read_definition(ports.lake, f"{run}/definition", plan.model)
    spec = definition.model
    fits = read_results(ports.lake, run, "fit_candidate", len(spec.candidates))
    built = results_of(ports.lake, run, Built, len(plan.groups))
    keys = [result.features for result in built]
    data, digest = read_hashed(ports, keys, definition, sorted({*judged_columns(definition), *report_columns(built)}))
    training = training_report(plan, built, definition, data, digest)
    parities = {fit["out"]: parity_of(ports, fit, data, definition) for fit in fits}
    judged = [{**fit, "parity": parities[fit["out"]][0]} for fit in fits]
    sound = [one for one in judged if all(gate.passed for gate in parities[one["out"]][1])] or judged
    winner = select([Entrant(one["family"], tuple(one["losses"])) for one in sound], spec.selection.rule)
    chosen = next(one for one in sound if one["family"] == winner.family)
    calibrated, held, metrics = _calibrate(ports, chosen, spec)
    metrics |= {"parity": chosen["parity"], "rows": training["rows"], "positives": training["positives"]}
    metrics["training_set"] = digest
    model = ports.scorer(ports.lake.get(f"{chosen['out']}/model.onnx"))
    newest = data.matrix[data.validated & (data.as_of == data.dates[-1])]
    scores = calibrated.apply(model.predict(newest))
    reference = reference_bins(definition.feature_names, newest, scores, str(data.dates[-1]))
    reference["base_rate"] = float(np.average(data.labels, weights=data.fit_weights))
    ports.lake.put_new(f"{run}/calibration.json", dumps(calibrated.to_json()))
    ports.lake.put_new(f"{run}/reference.json", dumps(reference))
    ports.lake.put_new(f"{run}/training.json", dumps(training))
    # runs that look at what was freeze nothing
    of_now = plan.silver_at is None and plan.replay_of is None
    # a list that nobody can read is told before anything is judged
    cases = read_cases(ports, golden_root(spec.name)) if of_now else []
    rows, champion = held.rows(data, spec), champion_of(ports, plan, definition)
    theirs = champion.score(data.matrix[rows], data.columns[TENANT][rows]) if champion else None
    case = Case(definition, data, model, calibrated, held, rows, metrics, scores, champion, theirs)
    verdict = judge(ports, plan, case)
    gates = [*parities[chosen["out"]][1], *verdict.gates]
    if of_now and all(gate.passed for gate in gates):
        freeze_golden(ports, definition, data, cases)
    ports.lake.put_new(f"{run}/slices.json", dumps(verdict.slices))
    explanation = read_json(ports.lake, f"{chosen['out']}/explanation.json")
    report = report_of(case, judged, sound, chosen["family"])
    ports.lake.put_new(f"{run}/report.json", dumps(report))
    evaluation = {
        "family": chosen["family"],
        "parameters": chosen["parameters"],
        "metrics": metrics,
        "gates": [gate.to_json() for gate in gates],
        "candidates": judged,
        "report": report,
        "packages": {**chosen["packages"], **training.get("packages", {})},
        "training_set": digest,
        "seed": spec.training.seed,
        "files": {
            "model.onnx": f"{chosen['out']}/model.onnx",
            "explanation.json": f"{chosen['out']}/explanation.json",
            "calibration.json": f"{run}/calibration.json",
            "reference.json": f"{run}/reference.json",
            "report.json": f"{run}/report.json",
            "training.json": f"{run}/training.json",
            "plan.json": f"{run}/plan.json",
            "slices.json": f"{run}/slices.json",
            **write_mlflow_files(ports, run, plan.as_of, definition),
            **card_files(run),
        },
        "card": card_facts(definition, data, model, explanation, group(held.scores, held.labels)),
    }
    # the card is of the evaluation that stands, which may be an earlier try's
    write_card(ports, run, json.loads(write_once(ports.lake, f"{run}/evaluation.json", dumps(evaluation))))
    return {
        "run": run,
        "model": plan.model,
        "rows": training["rows"],
        "positives": training["positives"],
        "ladder": spec.ladder is not None,
    }


def _calibrate(ports: Ports, chosen: dict[str, Any], spec: ModelSpec) -> tuple[Calibration, Held, dict[str, Any]]:
    """The calibration, the newest fold as scored by models and a calibrator fitted on older ones, and its metrics.

    Family, grid and method were chosen with that fold among others: matchback tells how good they are.

    The method is chosen on the newest fold after fitting on those whose outcomes were known by its day, then fitted
    on all folds. Where there is none, the raw scores are measured, and the sigmoid, with two parameters, fitted.
    """
    frame = read_frame(ports, f"{chosen['out']}/oof.parquet")
    fold, label, raw = frame["fold"], frame["label"], frame["raw"]
    weight = frame.get("weight", np.ones(len(label)))  # a fit from before there were weights has none
    newest, offset = fold == fold.max(), chosen.get("offset", 0.0)
    days = np.array(chosen["folds"], dtype="datetime64[D]")
    older = known_by(days, days[-1], spec)[fold]
    asked = spec.calibration.method
    if asked == "none" or not older.any():
        said, method = identity(offset=offset).apply(raw[newest]), "none" if asked == "none" else "sigmoid"
        losses: dict[str, float] = {}
    else:
        method, said, losses = choose(raw, label, weight, older, newest, tuple(FITS) if asked == "auto" else (asked,))
    plain = identity(len(label), int(label.sum()), offset)
    calibrated = plain if method == "none" else FITS[method](raw, label, weight)
    held = Held(label[newest], said)
    return calibrated, held, _metrics(held) | {"calibration": method, "calibration_losses": losses}


def _metrics(held: Held) -> dict[str, Any]:
    try:
        data = group(held.scores, held.labels)
    except EvidenceError as error:
        raise EvidenceError(f"newest validation fold: {error}") from error
    slope, intercept = calibration(data)
    figures = {
        "auc": auc(data),
        "average_precision": average_precision(data),
        "brier": brier(data),
        "brier_skill": brier_skill(data),
        "log_loss": log_loss(data),
        "calibration_slope": slope,
        "calibration_intercept": intercept,
        "ece": ece(data),
        "lift_top_decile": lift(data, data.rows / 10),
    }
    return {name: asdict(figure) for name, figure in figures.items()}
