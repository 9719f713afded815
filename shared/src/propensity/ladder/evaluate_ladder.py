"""evaluate_ladder: decide on which rung each tenant stands, by evidence forward in time, and say why in a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from propensity.evaluation.calibrate import group
from propensity.evaluation.evaluations import Evaluation, read_evaluation
from propensity.evaluation.parity import parity_of
from propensity.kernel.errors import EvidenceError
from propensity.ladder.domain.choice import Climb, climb_alone, climb_segment
from propensity.ladder.domain.evidence import by_name
from propensity.ladder.domain.rungs import (
    NO_EVIDENCE,
    Evidence,
    Figure,
    FittedGroup,
    Gain,
    LadderFits,
    LadderRecord,
    SegmentModel,
    TenantRung,
    figure_of,
)
from propensity.ladder.domain.words import reason
from propensity.ladder.fit_ladder import read_fits, training_of
from propensity.ladder.held_out import HeldOut
from propensity.ladder.version_files import write_ladder_files
from propensity.lake.definition_files import read_definition
from propensity.lake.domain.run_records import BuildResult, TrainingPlan
from propensity.lake.json_objects import dumps, read_json
from propensity.lake.run_files import read_plan, results_of
from propensity.pack.domain.definition import Definition
from propensity.pack.domain.model_spec import LadderSpec
from propensity.ports import ObjectStore, Ports
from propensity.registry.domain.ladder import LADDER, RUNGS, Ladder, Rung
from propensity.registry.domain.reasons import explaining_files
from propensity.registry.tenant_models import TenantModels
from propensity.stats.calibration import Calibration
from propensity.stats.drift import reference_bins
from propensity.stats.figures import auc
from propensity.stats.sampling import rarer
from propensity.training.data import TrainingData

_MODEL = ("model.onnx", "calibration.json")


def evaluate_ladder(ports: Ports, *, run: str) -> dict[str, Any]:
    """Write below `<run>/ladder/`: ladder.json, a calibration.json per model, reference.json and files.json.

    reference.json has the scores that the ladder gives. files.json lists what register_model adds to the version's
    folder. The same inputs give the same bytes. A model whose ONNX disagrees with scikit-learn scores nobody, like a
    candidate whose ONNX disagrees.
    """
    plan, evaluation = read_plan(ports.lake, run, TrainingPlan), read_evaluation(ports.lake, run)
    definition = read_definition(ports.lake, f"{run}/definition", plan.model)
    data, fits = training_of(ports, run, plan, definition), read_fits(ports.lake, run)
    out = HeldOut(ports, data, definition, evaluation, fits)
    calibration = Calibration.from_json(read_json(ports.lake, evaluation.files["calibration.json"]))
    models = _sound_models(ports, data, definition, out, fits)
    ladder = _Judging(definition, data, calibration, out, models, _segments_now(ports.lake, run, plan)).decide()
    ports.lake.put_new(f"{run}/ladder/{LADDER}", dumps(ladder.to_json()))
    used = sorted({tenant.model for tenant in ladder.tenants.values() if tenant.model})
    files = {LADDER: f"{run}/ladder/{LADDER}", "reference.json": f"{run}/ladder/reference.json"}
    for folder in used:
        explaining = explaining_files(read_json(ports.lake, f"{run}/{folder}/explanation.json"))
        files |= {f"{folder}/{name}": f"{run}/{folder}/{name}" for name in (*_MODEL, *explaining)}
    reference = _reference(ports, run, data, evaluation, calibration, ladder)
    ports.lake.put_new(f"{run}/ladder/reference.json", dumps(reference))
    write_ladder_files(ports.lake, run, files)
    return {"run": run, "model": plan.model, "rungs": dict(ladder.rungs)}


def _segments_now(store: ObjectStore, run: str, plan: TrainingPlan) -> dict[str, str]:
    """Return the segment of each tenant that has one, on the run's day."""
    results = results_of(store, run, BuildResult, len(plan.groups))
    return {tenant: segment for result in results for tenant, segment in result.segments.items()}


@dataclass(frozen=True, slots=True)
class _Models:
    """The models whose export is sound, by kind and name of the segment or tenant.

    `scores` has, by kind, the scores of all validation rows, float64 (n,), NaN where no model of the kind has a score.
    `refused` says by folder why a model is not among the sound models.
    """

    by_name: Mapping[tuple[str, str], FittedGroup]
    scores: Mapping[Rung, Any]
    refused: dict[str, str]


def _sound_models(ports: Ports, data: TrainingData, definition: Definition, out: HeldOut, fits: LadderFits) -> _Models:
    """Hold each model to parity, calibrate the model, and write its calibration.json."""
    models: dict[tuple[str, str], FittedGroup] = {}
    scores: dict[Rung, Any] = {"segment": np.full_like(out.rows.raw, np.nan), "own": np.full_like(out.rows.raw, np.nan)}
    refused = {}
    for model in fits.models:
        figures, gates = parity_of(ports, data, definition, out=model.out, probes=model.probes)
        if not all(gate.passed for gate in gates):
            refused[model.folder] = f"its export is off by {figures['max_abs']:.1e}"
            continue
        found, calibration = out.sub(ports, model.out)
        scores[model.kind] = np.where(np.isfinite(found), found, scores[model.kind])
        ports.lake.put_new(f"{model.out}/calibration.json", dumps(calibration.to_json()))
        models[model.kind, model.name] = model
    return _Models(models, scores, refused)


def _reference(
    ports: Ports,
    run: str,
    data: TrainingData,
    evaluation: Evaluation,
    calibration: Calibration,
    ladder: LadderRecord,
) -> dict[str, Any]:
    """Return the reference that drift is measured against: the newest date's rows as the ladder scores them."""
    newest = data.validated & (data.as_of == data.dates[-1])
    matrix = data.matrix[newest]
    raw = ports.scorer(ports.lake.get(evaluation.files["model.onnx"])).predict(matrix)
    models = TenantModels(ports, run, Ladder.from_json(ladder.to_json()))
    _, scores = models.apply(matrix, data.columns["tenant_id"][newest], raw, calibration.apply(raw))
    without = read_json(ports.lake, evaluation.files["reference.json"])
    return {**without, "score": reference_bins((), matrix[:, :0], scores, without["as_of"])["score"]}


class _Judging:
    """The choice of every tenant's rung. Indices of rows are among the judged rows, unless said otherwise."""

    def __init__(
        self,
        definition: Definition,
        data: TrainingData,
        calibration: Calibration,
        out: HeldOut,
        models: _Models,
        segments: Mapping[str, str],
    ) -> None:
        self._data, self._calibration, self._out, self._models = data, calibration, out, models
        self._segment_of = segments
        self._spec = definition.model.ladder or LadderSpec()
        self._losses = out.losses(models.scores["segment"], models.scores["own"])
        judged = out.judged
        self._scores = {rung: scores[judged] for rung, scores in {**out.scores, **models.scores}.items()}
        self._tenant = out.rows.tenant[judged]
        index = out.rows.index[judged]
        self._segment = data.columns["segment"][index] if "segment" in data.columns else np.full(len(index), None)

    def decide(self) -> LadderRecord:
        names = [str(name) for name in np.unique(self._data.columns["tenant_id"].astype(str))]
        rows = {name: np.empty(0, np.int64) for name in names} | by_name(self._tenant, np.arange(len(self._tenant)))
        fitted = by_name(self._data.columns["tenant_id"], np.flatnonzero(self._data.fitted))
        climbs = {name: Climb() for name in names}
        for name in names:
            mine = self._losses.part(rows[name])
            climb_alone(climbs[name], mine, self._allowed(name, rows[name]), ("intercept", "heuristic"))
        segments = self._climb_segments(climbs, rows)
        for name in names:
            climb_alone(climbs[name], self._losses.part(rows[name]), self._allowed(name, rows[name]), ("own",))
        variance, intercepts = self._out.final_intercepts(self._calibration)
        rates = self._out.rates(self._data.fitted)
        tenants = {
            name: self._stands(
                name,
                climbs[name],
                rows[name],
                fitted.get(name, np.empty(0, np.int64)),
                intercepts.get(name, 0.0),
                rates.get(name, rates[""]),  # a cap can leave a tenant rows to validate on and no rows to fit on
                segments,
            )
            for name in names
        }
        tenants |= {name: self._newcomer(name, segments) for name in sorted(set(self._segment_of) - set(names))}
        return LadderRecord(
            rungs={rung: sum(tenant.rung == rung for tenant in tenants.values()) for rung in RUNGS},
            tenants=tenants,
            segments=segments,
            variance_between_tenants=variance,
            held_rows=int(self._out.judged.sum()),
            refused=self._models.refused,
        )

    def _allowed(self, name: str, rows: Any) -> set[Rung]:
        """Return the rungs that a tenant may try by itself. `rows` has the indices of the tenant's rows."""
        allowed: set[Rung] = {"heuristic"}
        if len(rows) >= self._spec.min_rows_intercept:
            allowed.add("intercept")
        if ("own", name) in self._models.by_name:
            allowed.add("own")
        return allowed

    def _climb_segments(self, climbs: Mapping[str, Climb], rows: Mapping[str, Any]) -> dict[str, SegmentModel]:
        """Move the tenants of each segment up together. `rows` has the indices of each tenant's rows."""
        found = {}
        for (kind, segment), model in sorted(self._models.by_name.items()):
            if kind != "segment":
                continue
            members = [(climbs[name], rows[name]) for name in climbs if self._segment_of.get(name) == segment]
            pooled = climb_segment(members, self._segment == segment, self._losses) if members else None
            found[segment] = SegmentModel(
                model=model.folder,
                rows=model.rows,
                positives=model.positives,
                tenants=len(members),
                gain=figure_of(pooled) if pooled else {},
                earned=pooled is not None and pooled.low > 0,
            )
        return found

    def _stands(
        self,
        name: str,
        climb: Climb,
        rows: Any,
        fitted: Any,
        shift: float,
        rate: float,
        segments: Mapping[str, SegmentModel],
    ) -> TenantRung:
        """Return the rung of a tenant of the training set.

        `rows` has the indices of the tenant's rows; `fitted` has their indices in the training set.
        """
        rung, labels = climb.standing, self._data.labels[fitted]
        segment = self._segment_of.get(name)
        model = self._models.by_name.get((rung, name if rung == "own" else str(segment)))
        compared: tuple[Rung, ...] = ("global", rung)
        evidence = Evidence(
            rows=len(fitted),
            positives=int(labels.sum()),
            held_rows=len(rows),
            held_positives=int(self._losses.labels[rows].sum()),
            gains={tried: Gain.of(over, gain) for tried, (over, gain) in climb.gains.items()},
            auc={name: self._auc(rows, name) for name in dict.fromkeys(compared)},
        )
        return TenantRung(
            rung=rung,
            model=model.folder if model else None,
            intercept=shift if rung == "intercept" else 0.0,
            rate=rate if rung == "heuristic" else None,
            segment=segment,
            evidence=evidence,
            reason=reason(rung, evidence, self._spec, (segment, segments.get(str(segment))), shift, rarer(labels)),
        )

    def _newcomer(self, name: str, segments: Mapping[str, SegmentModel]) -> TenantRung:
        """Return the rung of a tenant that has no training rows yet, but whose segment is known."""
        segment = self._segment_of[name]
        model = segments.get(segment)
        earned = model is not None and model.earned
        by = f"the model of its segment {segment}" if earned else "the global model"
        return TenantRung(
            rung="segment" if earned else "global",
            model=model.model if model and earned else None,
            intercept=0.0,
            rate=None,
            segment=segment,
            evidence=NO_EVIDENCE,
            reason=f"No row of it was old enough for training; {by} answers until the next.",
        )

    def _auc(self, rows: Any, rung: Rung) -> Figure | None:
        scores = self._scores[rung][rows]
        known = np.isfinite(scores)
        try:
            return figure_of(auc(group(scores[known], self._losses.labels[rows][known])))
        except EvidenceError:
            return None  # all rows are of one class, so there is nothing to order
