"""evaluate_ladder: which rung each tenant stands on, by evidence forward in time, with the reason in a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from propensity.evaluation.newest_fold import group
from propensity.evaluation.parity import parity_of
from propensity.kernel.errors import EvidenceError
from propensity.ladder.domain.choice import Climb, climb_alone, climb_segment
from propensity.ladder.domain.evidence import by_name
from propensity.ladder.domain.words import reason
from propensity.ladder.files import FILES
from propensity.ladder.fit_ladder import FITS, training_of
from propensity.ladder.held_out import HeldOut
from propensity.lake.definition_files import read_definition
from propensity.lake.domain.run_records import Built, TrainingPlan
from propensity.lake.json_objects import dumps, read_json
from propensity.lake.run_files import read_plan, results_of
from propensity.pack.domain.definition import Definition
from propensity.pack.domain.model_spec import LadderSpec
from propensity.ports import ObjectStore, Ports
from propensity.registry.domain.ladder import LADDER, RUNGS, Ladder, Rung
from propensity.registry.tenant_models import TenantModels
from propensity.stats.calibration import Calibration
from propensity.stats.drift import reference_bins
from propensity.stats.figures import Estimate, auc
from propensity.stats.sampling import rarer
from propensity.training.data import TrainingData

_MODEL = ("model.onnx", "explanation.json", "calibration.json")


def evaluate_ladder(ports: Ports, *, run: str) -> dict[str, Any]:
    """Write below `<run>/ladder/`: ladder.json, a calibration.json per model, reference.json of the scores that the
    ladder gives, and files.json: what register_model adds to the version's folder. Same inputs, same bytes.

    A model whose ONNX disagrees with scikit-learn, as a candidate's may not, is nobody's.
    """
    plan, evaluation = read_plan(ports.lake, run, TrainingPlan), read_json(ports.lake, f"{run}/evaluation.json")
    definition = read_definition(ports.lake, f"{run}/definition", plan.model)
    data, fits = training_of(ports, run, plan, definition), read_json(ports.lake, f"{run}/{FITS}")
    judging = _Judging(ports, run, definition, data, evaluation, fits, _segments_now(ports.lake, run, plan))
    said = judging.decide()
    ports.lake.put_new(f"{run}/ladder/{LADDER}", dumps(said))
    used = sorted({one["model"] for one in said["tenants"].values() if one["model"]})
    files = {LADDER: f"{run}/ladder/{LADDER}", "reference.json": f"{run}/ladder/reference.json"}
    files |= {f"{folder}/{name}": f"{run}/{folder}/{name}" for folder in used for name in _MODEL}
    ports.lake.put_new(f"{run}/ladder/reference.json", dumps(judging.reference(said)))
    ports.lake.put_new(f"{run}/{FILES}", dumps(files))
    return {"run": run, "model": plan.model, "rungs": said["rungs"]}


def _segments_now(store: ObjectStore, run: str, plan: TrainingPlan) -> dict[str, str]:
    results = results_of(store, run, Built, len(plan.groups))
    return {tenant: segment for result in results for tenant, segment in result.segments.items()}


class _Judging:
    def __init__(
        self,
        ports: Ports,
        run: str,
        definition: Definition,
        data: TrainingData,
        evaluation: Mapping[str, Any],
        fits: Mapping[str, Any],
        segments: Mapping[str, str],
    ) -> None:
        self._ports, self._run, self._definition, self._data = ports, run, definition, data
        self._evaluation, self._segment_of = evaluation, segments
        self._spec = definition.model.ladder or LadderSpec()
        self._out = HeldOut(ports, data, definition, evaluation, fits)
        self._calibration = Calibration.from_json(read_json(ports.lake, evaluation["files"]["calibration.json"]))
        self._refused: dict[str, str] = {}
        self._models: dict[tuple[str, str], dict[str, Any]] = {}
        self._scores = {
            "segment": np.full(len(self._out.rows.raw), np.nan),
            "own": np.full_like(self._out.rows.raw, np.nan),
        }
        for model in fits["models"]:
            self._take(model)
        self._held = self._out.held(self._scores["segment"], self._scores["own"])
        judged = self._out.judged
        self._judged = {rung: scores[judged] for rung, scores in {**self._out.scores, **self._scores}.items()}
        self._tenant = self._out.rows.tenant[judged]
        index = self._out.rows.index[judged]
        self._segment = data.columns["segment"][index] if "segment" in data.columns else np.full(len(index), None)

    def _take(self, model: dict[str, Any]) -> None:
        """A model into the choice, calibrated, where its export is sound."""
        figures, gates = parity_of(self._ports, model, self._data, self._definition)
        if not all(gate.passed for gate in gates):
            self._refused[model["folder"]] = f"its export is off by {figures['max_abs']:.1e}"
            return
        scores, calibrated = self._out.sub(self._ports, model["out"])
        kind = model["kind"]
        self._scores[kind] = np.where(np.isfinite(scores), scores, self._scores[kind])
        self._ports.lake.put_new(f"{model['out']}/calibration.json", dumps(calibrated.to_json()))
        self._models[kind, model["name"]] = {**model, "parity": figures}

    def decide(self) -> dict[str, Any]:
        """ladder.json."""
        names = [str(name) for name in np.unique(self._data.columns["tenant_id"].astype(str))]
        held = {name: np.empty(0, np.int64) for name in names} | by_name(self._tenant, np.arange(len(self._tenant)))
        fitted = by_name(self._data.columns["tenant_id"], np.flatnonzero(self._data.fitted))
        climbs = {name: Climb() for name in names}
        for name in names:
            mine = held[name]
            climb_alone(climbs[name], self._held.part(mine), self._allowed(name, mine), ("intercept", "heuristic"))
        segments = self._climb_segments(climbs, held)
        for name in names:
            climb_alone(climbs[name], self._held.part(held[name]), self._allowed(name, held[name]), ("own",))
        variance, intercepts = self._out.final_intercepts(self._calibration)
        rates = self._out.rates(self._data.fitted)
        tenants = {
            name: self._said(
                name,
                climbs[name],
                held[name],
                fitted.get(name, np.empty(0, np.int64)),
                intercepts.get(name, 0.0),
                rates.get(name, rates[""]),  # a cap may leave a tenant rows to validate on and none to fit
                segments,
            )
            for name in names
        }
        tenants |= {name: self._newcomer(name, segments) for name in sorted(set(self._segment_of) - set(names))}
        counts = {rung: sum(one["rung"] == rung for one in tenants.values()) for rung in RUNGS}
        return {
            "rungs": counts,
            "tenants": tenants,
            "segments": segments,
            "variance_between_tenants": variance,
            "held_rows": int(self._out.judged.sum()),
            "refused": self._refused,
        }

    def _allowed(self, name: str, held: Any) -> set[Rung]:
        allowed: set[Rung] = {"heuristic"}
        if len(held) >= self._spec.min_rows_intercept:
            allowed.add("intercept")
        if ("own", name) in self._models:
            allowed.add("own")
        return allowed

    def _climb_segments(self, climbs: Mapping[str, Climb], held: Mapping[str, Any]) -> dict[str, Any]:
        found = {}
        for (kind, segment), model in sorted(self._models.items()):
            if kind != "segment":
                continue
            rows = self._segment == segment
            members = [(climbs[name], held[name]) for name in climbs if self._segment_of.get(name) == segment]
            pooled = climb_segment(members, rows, self._held) if members else None
            found[segment] = {
                "model": model["folder"],
                "rows": model["rows"],
                "positives": model["positives"],
                "tenants": len(members),
                "gain": _json(pooled),
                "earned": pooled is not None and pooled.low > 0,
            }
        return found

    def _said(
        self,
        name: str,
        climb: Climb,
        held: Any,
        fitted: Any,
        shift: float,
        rate: float,
        segments: Mapping[str, Any],
    ) -> dict[str, Any]:
        """`held`, `fitted`: its rows (indices) among the judged ones and in the training set."""
        rung, labels = climb.standing, self._data.labels[fitted]
        segment = self._segment_of.get(name)
        model = self._models.get((rung, name if rung == "own" else str(segment)))
        evidence = {
            "rows": len(fitted),
            "positives": int(labels.sum()),
            "held_rows": len(held),
            "held_positives": int(self._held.labels[held].sum()),
            "gains": {one: {"over": over, **_json(figure)} for one, (over, figure) in climb.gains.items()},
            "auc": {one: self._auc(held, one) for one in dict.fromkeys(("global", rung))},
        }
        return {
            "rung": rung,
            "model": model["folder"] if model else None,
            "intercept": shift if rung == "intercept" else 0.0,
            "rate": rate if rung == "heuristic" else None,
            "segment": segment,
            "evidence": evidence,
            "reason": reason(rung, evidence, self._spec, (segment, segments.get(str(segment))), shift, rarer(labels)),
        }

    def _newcomer(self, name: str, segments: Mapping[str, Any]) -> dict[str, Any]:
        """A tenant without training rows whose segment is known already."""
        segment = self._segment_of[name]
        found = segments.get(segment)
        earned = bool(found and found["earned"])
        by = f"the model of its segment {segment}" if earned else "the global model"
        return {
            "rung": "segment" if earned else "global",
            "model": found["model"] if found and earned else None,
            "intercept": 0.0,
            "rate": None,
            "segment": segment,
            "evidence": {"rows": 0, "positives": 0, "held_rows": 0, "held_positives": 0, "gains": {}, "auc": {}},
            "reason": f"No row of it was old enough for training; {by} answers until the next.",
        }

    def _auc(self, held: Any, rung: str) -> dict[str, Any] | None:
        scores = self._judged[rung][held]
        known = np.isfinite(scores)
        try:
            return _json(auc(group(scores[known], self._held.labels[held][known])))
        except EvidenceError:
            return None  # one class only: there is nothing to order

    def reference(self, said: Mapping[str, Any]) -> dict[str, Any]:
        """What drift is held against: the newest date's rows as the ladder scores them."""
        data = self._data
        newest = data.validated & (data.as_of == data.dates[-1])
        matrix = data.matrix[newest]
        raw = self._ports.scorer(self._ports.lake.get(self._evaluation["files"]["model.onnx"])).predict(matrix)
        models = TenantModels(self._ports, self._run, Ladder.from_json(said))
        _, scores = models.apply(matrix, data.columns["tenant_id"][newest], raw, self._calibration.apply(raw))
        before = read_json(self._ports.lake, self._evaluation["files"]["reference.json"])
        return {**before, "score": reference_bins((), matrix[:, :0], scores, before["as_of"])["score"]}


def _json(figure: Estimate | None) -> dict[str, Any]:
    return (
        {} if figure is None else {key: value if np.isfinite(value) else None for key, value in asdict(figure).items()}
    )
