"""serve_scores: scores on demand, by the one scoring path from the feature vectors of the online table.

A customer without a feature vector gets the model's fallback, so that every customer has an answer. Every answer goes
to the inference log.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from propensity.kernel.errors import BadInputError
from propensity.ports import OnlineScore, Ports
from propensity.registry.artifact import REASONS, Artifact, load_artifact
from propensity.registry.calibrations import read_calibration
from propensity.registry.versions import load_version, version_numbers

MAX_CUSTOMERS = 100  # customers of one request; one read of the online table returns as many
_OTHER_VERSIONS = 3  # versions whose feature vectors are tried where the champion has published none


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """The request of a caller: the scores of up to 100 customers of one tenant."""

    model: str
    tenant_id: str
    customer_ids: tuple[str, ...]

    @staticmethod
    def parse(body: Any) -> ScoreRequest:
        """Read the request from a body. Raises BadInputError naming the field."""
        if not isinstance(body, dict):
            raise BadInputError("body: expected a JSON object with model, tenant_id and customer_ids")
        for name in ("model", "tenant_id"):
            if not isinstance(body.get(name), str) or not body[name]:
                raise BadInputError(f"{name}: expected text")
        ids = body.get("customer_ids")
        if not isinstance(ids, list) or not all(isinstance(customer, str) and customer for customer in ids):
            raise BadInputError("customer_ids: expected a list of texts")
        if not 1 <= len(ids) <= MAX_CUSTOMERS:
            raise BadInputError(f"customer_ids: {len(ids)} ids, expected 1 to {MAX_CUSTOMERS}; split the request")
        return ScoreRequest(body["model"], body["tenant_id"], tuple(dict.fromkeys(ids)))


@dataclass(frozen=True, slots=True)
class Serving:
    """A champion that is ready to answer requests.

    `fallback` is the score of a customer of whom nothing is known. `versions` are the versions whose feature vectors
    the champion can score because they have the same feature set, the champion itself first.
    """

    artifact: Artifact
    fallback: float
    versions: tuple[int, ...]
    _calibrated: dict[int, Artifact] = field(default_factory=dict)

    @property
    def number(self) -> int:
        return self.artifact.version.number

    def calibrated(self, ports: Ports, number: int | None) -> Artifact:
        """Return the champion with the calibration of this number, or with its newest one for None."""
        if number is None or number == self.artifact.calibration_number:
            return self.artifact
        if number not in self._calibrated:
            made = read_calibration(ports.lake, self.artifact.version, number)
            self._calibrated[number] = replace(self.artifact, calibration=made, calibration_number=number)
        return self._calibrated[number]


def load_serving(ports: Ports, model: str, number: int) -> Serving:
    """Load the champion for answering. Raises NotFoundError where the version does not exist."""
    version = load_version(ports.lake, model, number)
    feature_set = version.provenance.feature_set
    same = [
        other
        for other in version_numbers(ports.lake, model)
        if other != number and load_version(ports.lake, model, other).provenance.feature_set == feature_set
    ]
    reference = version.json(ports.lake, "reference.json")
    artifact = load_artifact(ports, version)
    return Serving(artifact, float(reference["base_rate"]), (number, *sorted(same, reverse=True)[:_OTHER_VERSIONS]))


def serve_scores(ports: Ports, serving: Serving, request: ScoreRequest, *, request_id: str, at: str) -> dict[str, Any]:
    """Return one answer per customer, in the order asked.

    An answer has score, percentile, decile, unranked_reason, reasons, reason_method, model_version, calibration, as_of,
    source and rung. `source` is `champion`, or `fallback` for a customer without a feature vector, or with one from
    which the champion makes no probability; then as_of is null. `unranked_reason` says why percentile and decile are
    null. `rung` names the rung of the ladder that answered; it is null for a version without a ladder.
    """
    found: dict[str, OnlineScore] = {}
    for version in serving.versions:
        missing = [customer for customer in request.customer_ids if customer not in found]
        if missing:
            rows = ports.online.get_many(request.tenant_id, missing, request.model, version)
            found |= {row.customer_id: row for row in rows}
    answers = _answers(ports, serving, request, found)
    ports.inference_queue.send(
        {
            "request_id": request_id,
            "answered_at": at,
            "model": request.model,
            "model_version": serving.number,
            "tenant_id": request.tenant_id,
            "scores": [
                {name: answer[name] for name in ("customer_id", "score", "decile", "source")} for answer in answers
            ],
        }
    )
    fallbacks = sum(answer["source"] == "fallback" for answer in answers)
    ports.metrics.count("ScoresServed", len(answers), model=request.model)
    ports.metrics.count("FallbacksServed", fallbacks, model=request.model)
    return {"model": request.model, "model_version": serving.number, "scores": answers}


def _answers(
    ports: Ports, serving: Serving, request: ScoreRequest, found: Mapping[str, OnlineScore]
) -> list[dict[str, Any]]:
    by_calibration: dict[int | None, list[OnlineScore]] = {}
    for row in (found[customer] for customer in request.customer_ids if customer in found):
        # A place on the list belongs to the scores of the run that made the list. So the score is made with the run's
        # calibration too, until the next batch.
        number = row.calibration if row.version == serving.number else None
        by_calibration.setdefault(number, []).append(row)
    answers: dict[str, dict[str, Any]] = {}
    for number, rows in by_calibration.items():
        answers |= _scored(serving, serving.calibrated(ports, number), request.tenant_id, rows)
    unknown: dict[str, Any] = {
        "score": serving.fallback,
        "percentile": None,
        "decile": None,
        "unranked_reason": "not_scored",
        "reasons": [],
        "reason_method": None,
        "model_version": serving.number,
        "calibration": None,
        "as_of": None,
        "source": "fallback",
        "rung": None,
    }
    return [answers.get(customer, {"customer_id": customer, **unknown}) for customer in request.customer_ids]


def _scored(serving: Serving, artifact: Artifact, tenant: str, known: Sequence[OnlineScore]) -> dict[str, Any]:
    """Return the answers of the customers whom the champion can score; a value that is no probability is no score."""
    width = len(artifact.definition.feature_names)
    matrix = np.frombuffer(b"".join(row.vector for row in known), dtype=np.float32).reshape(len(known), width)
    tenants = np.full(len(known), tenant, dtype=object)
    _, scores, sound = artifact.try_score(matrix, tenants)
    rungs = artifact.rungs(tenants)
    reasons, methods = artifact.reasons(matrix, tenants, REASONS)
    answers = {}
    for number, row in enumerate(known):
        if not sound[number]:
            continue
        # percentile and decile belong to the version that published them with its score
        placed = row.version == serving.number
        answers[row.customer_id] = {
            "customer_id": row.customer_id,
            "score": float(scores[number]),
            "percentile": row.percentile if placed else None,
            "decile": row.decile if placed else None,
            "unranked_reason": row.unranked_reason if placed else "other_version",
            "reasons": [reason["text"] for reason in reasons[number]],
            "reason_method": methods[number],
            "model_version": serving.number,
            "calibration": artifact.calibration_number,
            "as_of": row.as_of,
            "source": "champion",
            "rung": None if rungs is None else str(rungs[number]),
        }
    return answers
