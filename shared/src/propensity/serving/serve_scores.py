"""serve_scores: scores on demand, from the online table's feature vectors through the one scoring path.

A customer nothing is known of is answered with the model's fallback, so that no lead is lost; every answer
goes to the inference log.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from propensity.kernel.errors import BadInputError
from propensity.ports import OnlineScore, Ports
from propensity.registry.artifact import REASONS, Artifact, load_artifact
from propensity.registry.versions import load_version, version_numbers

MAX_CUSTOMERS = 100  # one read of the online table
_OTHER_VERSIONS = 3


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """What a caller asks: up to 100 customers of one tenant."""

    model: str
    tenant_id: str
    customer_ids: tuple[str, ...]

    @staticmethod
    def parse(body: Any) -> ScoreRequest:
        """Raises BadInputError naming the field."""
        if not isinstance(body, dict):
            raise BadInputError("body: expected a JSON object with model, tenant_id and customer_ids")
        for field in ("model", "tenant_id"):
            if not isinstance(body.get(field), str) or not body[field]:
                raise BadInputError(f"{field}: expected text")
        ids = body.get("customer_ids")
        if not isinstance(ids, list) or not all(isinstance(one, str) and one for one in ids):
            raise BadInputError("customer_ids: expected a list of texts")
        if not 1 <= len(ids) <= MAX_CUSTOMERS:
            raise BadInputError(f"customer_ids: {len(ids)} ids, expected 1 to {MAX_CUSTOMERS}; split the request")
        return ScoreRequest(body["model"], body["tenant_id"], tuple(dict.fromkeys(ids)))


@dataclass(frozen=True, slots=True)
class Serving:
    """A champion made ready to answer: its artifact, its fallback score, and the versions whose vectors it can
    read because their feature set is its own, itself first."""

    artifact: Artifact
    fallback: float
    versions: tuple[int, ...]

    @property
    def number(self) -> int:
        return self.artifact.version.number


def load_serving(ports: Ports, model: str, number: int) -> Serving:
    version = load_version(ports.lake, model, number)
    same = [
        other
        for other in version_numbers(ports.lake, model)
        if other != number
        and load_version(ports.lake, model, other).lineage["feature_set"] == version.lineage["feature_set"]
    ]
    reference = version.json(ports.lake, "reference.json")
    artifact = load_artifact(ports, version)
    return Serving(artifact, float(reference["base_rate"]), (number, *sorted(same, reverse=True)[:_OTHER_VERSIONS]))


def serve_scores(ports: Ports, serving: Serving, request: ScoreRequest, *, request_id: str, at: str) -> dict[str, Any]:
    """One answer per customer, in the order asked: score, percentile, decile, reasons, reason_method, model_version,
    calibration, as_of, source.

    `source` is champion, or fallback for a customer without a feature vector, whose percentile, decile and
    as_of are null. `rung` says which model of the version's ladder answered; null without a ladder.
    """
    found: dict[str, OnlineScore] = {}
    for version in serving.versions:
        missing = [one for one in request.customer_ids if one not in found]
        if missing:
            held = ports.online.get_many(request.tenant_id, missing, request.model, version)
            found |= {one.customer_id: one for one in held}
    answers = _answers(serving, request, found)
    ports.inference_queue.send(
        {
            "request_id": request_id,
            "answered_at": at,
            "model": request.model,
            "model_version": serving.number,
            "tenant_id": request.tenant_id,
            "scores": [{name: one[name] for name in ("customer_id", "score", "decile", "source")} for one in answers],
        }
    )
    fallbacks = sum(one["source"] == "fallback" for one in answers)
    ports.metrics.count("ScoresServed", len(answers), model=request.model)
    ports.metrics.count("FallbacksServed", fallbacks, model=request.model)
    return {"model": request.model, "model_version": serving.number, "scores": answers}


def _answers(serving: Serving, request: ScoreRequest, found: dict[str, OnlineScore]) -> list[dict[str, Any]]:
    known = [found[one] for one in request.customer_ids if one in found]
    artifact = serving.artifact
    width = len(artifact.definition.feature_names)
    matrix = np.frombuffer(b"".join(one.vector for one in known), dtype=np.float32).reshape(len(known), width)
    tenants = np.full(len(known), request.tenant_id, dtype=object)
    _, scores = artifact.score(matrix, tenants)
    rungs = artifact.rungs(tenants)
    reasons, methods = artifact.reasons(matrix, tenants, REASONS)
    answers = {}
    for number, one in enumerate(known):
        # a place among others was published with this version's score; another version's vector has none
        placed = one.version == serving.number
        answers[one.customer_id] = {
            "customer_id": one.customer_id,
            "score": float(scores[number]),
            "percentile": one.percentile if placed else None,
            "decile": one.decile if placed else None,
            "reasons": [reason["text"] for reason in reasons[number]],
            "reason_method": methods[number],
            "model_version": serving.number,
            "calibration": artifact.calibration_number,
            "as_of": one.as_of,
            "source": "champion",
            "rung": None if rungs is None else str(rungs[number]),
        }
    unknown: dict[str, Any] = {
        "score": serving.fallback,
        "percentile": None,
        "decile": None,
        "reasons": [],
        "reason_method": None,
        "model_version": serving.number,
        "calibration": None,
        "as_of": None,
        "source": "fallback",
        "rung": None,
    }
    return [answers.get(one, {"customer_id": one, **unknown}) for one in request.customer_ids]
