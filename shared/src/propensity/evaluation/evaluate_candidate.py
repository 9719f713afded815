"""evaluate_candidate: choose one candidate, calibrate and judge it, and write the findings."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from typing import Any

import numpy as np

from propensity.evaluation.calibrate import NewestFold, calibrate, fold_metrics, group, lists_of, tenant_metrics
from propensity.evaluation.card import card_facts, card_files, write_card
from propensity.evaluation.case import Case
from propensity.evaluation.champions import champion_of
from propensity.evaluation.domain.gates import Gate
from propensity.evaluation.domain.mlflow_model import mlflow_files
from propensity.evaluation.domain.model_card import ranking_in_words
from propensity.evaluation.evaluations import Evaluation, write_evaluation
from propensity.evaluation.gains_report import report_columns, report_of
from propensity.evaluation.golden_cases import golden_root, read_cases
from propensity.evaluation.golden_set import freeze_golden
from propensity.evaluation.judge import judge_case
from propensity.evaluation.parity import parity_of
from propensity.evaluation.slicing import judged_columns
from propensity.kernel.tenant import TENANT
from propensity.lake.definition_files import read_definition
from propensity.lake.domain.run_records import BuildResult, TrainingPlan
from propensity.lake.json_objects import dumps, read_json
from propensity.lake.run_files import read_plan, read_results, results_of
from propensity.pack.domain.definition import Definition
from propensity.ports import Model, Ports
from propensity.registry.domain.reasons import explaining_files
from propensity.registry.tenant_models import load_reason_model
from propensity.stats.calibration import Calibration
from propensity.stats.drift import reference_bins
from propensity.training.data import TrainingData
from propensity.training.domain.selection import Entrant, select
from propensity.training.report import read_hashed, training_report

# the packages that the loader needs, in the versions with which the parity gate was passed
_PACKAGES = ("numpy", "onnxruntime")


@dataclass(frozen=True, slots=True)
class _Run:
    """A training run up to its fits.

    `fits` has what each fit said. `digest` is the hash of the training set. `report` is the content of training.json.
    `loaded_at_once` are the datasets of which no row had arrived by the newest date.
    """

    run: str
    plan: TrainingPlan
    definition: Definition
    fits: Sequence[dict[str, Any]]
    data: TrainingData
    digest: str
    report: dict[str, Any]
    loaded_at_once: Sequence[str]


@dataclass(frozen=True, slots=True)
class _Choice:
    """The choice among the candidates of a run.

    `candidates` has what every fit said, with the fit's parity. `sound` are the fits that could be chosen. `parity` has
    the parity gates of the chosen candidate.
    """

    candidates: Sequence[dict[str, Any]]
    sound: Sequence[dict[str, Any]]
    chosen: dict[str, Any]
    parity: Sequence[Gate]


@dataclass(frozen=True, slots=True)
class _Calibrated:
    """The chosen candidate as it would score.

    `scores` are the scores of the newest date's rows; `metrics` are the metrics on the newest fold.
    """

    model: Model
    calibration: Calibration
    fold: NewestFold
    metrics: dict[str, Any]
    scores: Any


def evaluate_candidate(ports: Ports, *, run: str) -> dict[str, Any]:
    """Write `<run>/evaluation.json`, calibration.json and reference.json of the chosen candidate, and training.json.

    A candidate whose ONNX disagrees with scikit-learn cannot be chosen. If all candidates disagree, one of them is
    still chosen: it is registered with its failed gate and never promoted. The same inputs give the same bytes.
    """
    trained = _read_run(ports, run)
    choice = _choose(ports, trained)
    calibrated = _calibrate_chosen(ports, trained, choice)
    case, gates = _judge(ports, trained, choice, calibrated)
    _write(ports, trained, choice, case, gates)
    return {
        "run": run,
        "model": trained.plan.model,
        "rows": trained.report["rows"],
        "positives": trained.report["positives"],
        "ladder": trained.definition.model.ladder is not None,
    }


def _read_run(ports: Ports, run: str) -> _Run:
    plan = read_plan(ports.lake, run, TrainingPlan)
    definition = read_definition(ports.lake, f"{run}/definition", plan.model)
    fits = read_results(ports.lake, run, "fit_candidate", len(definition.model.candidates))
    built = results_of(ports.lake, run, BuildResult, len(plan.groups))
    keys = [result.features for result in built]
    data, digest = read_hashed(ports, keys, definition, sorted({*judged_columns(definition), *report_columns(built)}))
    report = training_report(plan, built, definition, data, digest)
    return _Run(run, plan, definition, fits, data, digest, report, _loaded_at_once(built))


def _loaded_at_once(built: Sequence[BuildResult]) -> list[str]:
    """Return the datasets of which the newest date sees rows that had not arrived by then, none of them."""
    seen, arrived = Counter[str](), Counter[str]()
    for result in built:
        for dataset, (rows, by_then) in result.arrived.items():
            seen[dataset] += rows
            arrived[dataset] += by_then
    return sorted(dataset for dataset, rows in seen.items() if rows and not arrived[dataset])


def _choose(ports: Ports, trained: _Run) -> _Choice:
    parities = {
        fit["out"]: parity_of(ports, trained.data, trained.definition, out=fit["out"], probes=fit.get("probes"))
        for fit in trained.fits
    }
    candidates = [{**fit, "parity": parities[fit["out"]][0]} for fit in trained.fits]
    sound = [fit for fit in candidates if all(gate.passed for gate in parities[fit["out"]][1])] or candidates
    entrants = [Entrant(fit["family"], tuple(fit["losses"])) for fit in sound]
    winner = select(entrants, trained.definition.model.selection.rule)
    chosen = next(fit for fit in sound if fit["family"] == winner.family)
    return _Choice(candidates, sound, chosen, parities[chosen["out"]][1])


def _calibrate_chosen(ports: Ports, trained: _Run, choice: _Choice) -> _Calibrated:
    """Calibrate the chosen candidate. Write calibration.json, reference.json (for drift) and training.json."""
    run, data, definition, chosen = trained.run, trained.data, trained.definition, choice.chosen
    calibration, fold, metrics = calibrate(ports, chosen, definition.model)
    metrics |= tenant_metrics(fold, data.columns[TENANT][fold.rows(data, definition.model)])
    metrics |= fold_metrics(ports, chosen, data, definition.model)
    metrics |= {
        "parity": chosen["parity"],
        "rows": trained.report["rows"],
        "positives": trained.report["positives"],
        "training_set": trained.digest,
    }
    model = ports.scorer(ports.lake.get(f"{chosen['out']}/model.onnx"))
    newest = data.matrix[data.validated & (data.as_of == data.dates[-1])]
    scores = calibration.apply(model.predict(newest))
    reference = reference_bins(definition.feature_names, newest, scores, str(data.dates[-1]))
    reference["base_rate"] = float(np.average(data.labels, weights=data.fit_weights))
    ports.lake.put_new(f"{run}/calibration.json", dumps(calibration.to_json()))
    ports.lake.put_new(f"{run}/reference.json", dumps(reference))
    ports.lake.put_new(f"{run}/training.json", dumps(trained.report))
    return _Calibrated(model, calibration, fold, metrics, scores)


def _judge(ports: Ports, trained: _Run, choice: _Choice, calibrated: _Calibrated) -> tuple[Case, list[Gate]]:
    """Judge the chosen candidate, and return the case and all its gates.

    The function writes slices.json, and freezes golden rows if every gate passed.
    """
    data, definition, plan = trained.data, trained.definition, trained.plan
    # a run over an older Silver, or a replay, only serves to be looked at, and freezes nothing
    may_freeze = plan.silver_at is None and plan.replay_of is None
    # the cases are read first, so that a cases.json that cannot be read is an error before anything is judged
    golden_cases = read_cases(ports, golden_root(definition.model.name)) if may_freeze else []
    rows, champion = calibrated.fold.rows(data, definition.model), champion_of(ports, plan, definition)
    case = Case(
        definition=definition,
        data=data,
        model=calibrated.model,
        calibration=calibrated.calibration,
        fold=calibrated.fold,
        rows=rows,
        metrics=calibrated.metrics,
        scores=calibrated.scores,
        champion=champion,
        champion_scores=champion.score(data.matrix[rows], data.columns[TENANT][rows]) if champion else None,
        loaded_at_once=trained.loaded_at_once,
    )
    judgement = judge_case(ports, plan, case)
    gates = [*choice.parity, *judgement.gates]
    if may_freeze and all(gate.passed for gate in gates):
        freeze_golden(ports, definition, data, golden_cases)
    ports.lake.put_new(f"{trained.run}/slices.json", dumps(judgement.slices))
    return case, gates


def _write(ports: Ports, trained: _Run, choice: _Choice, case: Case, gates: Sequence[Gate]) -> None:
    """Write report.json, the MLflow files, evaluation.json, and the model card."""
    run, definition, chosen = trained.run, trained.definition, choice.chosen
    explanation = read_json(ports.lake, f"{chosen['out']}/explanation.json")
    report = report_of(case, choice.candidates, choice.sound, chosen["family"]).to_json()
    ports.lake.put_new(f"{run}/report.json", dumps(report))
    files = _scoring_files(run, chosen, explanation) | _write_mlflow_files(ports, trained, case.metrics)
    held_out, lists = group(case.fold.scores, case.fold.labels), lists_of(case.fold, case.tenants)
    evaluation = Evaluation(
        family=chosen["family"],
        parameters=chosen["parameters"],
        metrics=dict(case.metrics),
        gates=tuple(gate.to_json() for gate in gates),
        candidates=tuple(choice.candidates),
        report=report,
        packages={**chosen["packages"], **trained.report.get("packages", {})},
        training_set=trained.digest,
        seed=definition.model.training.seed,
        files=files | card_files(run),
        card=card_facts(
            definition,
            case.data,
            case.model,
            explanation,
            held_out,
            lists,
            load_reason_model(ports, chosen["out"], explanation),
        ).to_json(),
    )
    # an earlier try may have written its evaluation already; then the card is made of that evaluation
    write_card(ports, run, write_evaluation(ports.lake, run, evaluation).model_dump())


def _scoring_files(run: str, chosen: Mapping[str, Any], explanation: Mapping[str, Any]) -> dict[str, str]:
    """Return names in the version's folder with keys of the run's files, without the files for MLflow and the card."""
    own = ("calibration.json", "reference.json", "report.json", "training.json", "plan.json", "slices.json")
    return {
        **{name: f"{chosen['out']}/{name}" for name in ("model.onnx", *explaining_files(explanation))},
        **{name: f"{run}/{name}" for name in own},
    }


def _write_mlflow_files(ports: Ports, trained: _Run, metrics: Mapping[str, Any]) -> dict[str, str]:
    """Write the MLflow files. Return names in the version's folder, with the keys of the files that were written."""
    run = trained.run
    made = mlflow_files(
        trained.definition,
        run=run,
        as_of=trained.plan.as_of,
        ranking=ranking_in_words(metrics),
        loader=files("propensity").joinpath("pyfunc_loader.py").read_text(),
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        packages={name: version(name) for name in _PACKAGES},
    )
    for name, text in made.items():
        ports.lake.put_new(f"{run}/mlflow/{name}", text.encode())
    return {name: f"{run}/mlflow/{name}" for name in made}
