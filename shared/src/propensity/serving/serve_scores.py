"""serve_scores: scores on demand, by the one scoring path from the feature vectors of the online table.

A customer without a feature vector gets the model's fallback. What fails on the way costs the answer as little as it
can: a customer whose vector cannot be read or scored gets the fallback, and the others their scores. `degraded_reason`
says so in each row. Every answer goes to the inference log; a log that cannot be reached never holds an answer back.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from propensity.kernel.errors import BadInputError
from propensity.kernel.tenant import MAX_CUSTOMER_ID, parse_tenant
from propensity.lake.json_objects import read_json
from propensity.ports import OnlineScore, Ports
from propensity.registry.artifact import REASONS, Artifact, load_artifact
from propensity.registry.calibrations import read_calibration
from propensity.registry.domain.ledger import version_folder
from propensity.registry.domain.reasons import METHODS
from propensity.registry.versions import load_version, version_numbers

MAX_CUSTOMERS = 100  # customers of one request; one read of the online table returns as many
_OTHER_VERSIONS = 3  # versions whose feature vectors are tried where the champion has published none
_MODEL = re.compile(r"[a-z][a-z0-9_]{0,49}")
_FIELDS = ("model", "customer_ids")

# the values of degraded_reason that arise here; last_good_serving.py has those of the champion
TABLE_REFUSED = "online_table_refused"
VECTOR_UNREADABLE = "feature_vector_unreadable"
CALIBRATION_UNREADABLE = "calibration_unreadable"  # the calibration of the run that made the list cannot be read
NOT_SCORED = "not_scored"


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """The request of a caller: the scores of up to 100 customers of one tenant."""

    model: str
    tenant_id: str
    customer_ids: tuple[str, ...]

    @staticmethod
    def parse(tenant_id: object, body: Any) -> ScoreRequest:
        """Read the request from the tenant in the path and from a body. Raises BadInputError naming the field."""
        tenant = parse_tenant(tenant_id)
        if not isinstance(body, dict):
            raise BadInputError("body: expected a JSON object with model and customer_ids")
        if unknown := sorted(set(body) - set(_FIELDS)):
            where = "; the tenant stands in the path" if "tenant_id" in unknown else ""
            raise BadInputError(f"body: {unknown[0][:50]!r}: unknown field, expected model and customer_ids{where}")
        model, ids = body.get("model"), body.get("customer_ids")
        if not isinstance(model, str) or not _MODEL.fullmatch(model):
            raise BadInputError("model: expected a model's name: small letters, digits and _")
        if not isinstance(ids, list) or not all(isinstance(customer, str) and customer for customer in ids):
            raise BadInputError("customer_ids: expected a list of texts")
        if not 1 <= len(ids) <= MAX_CUSTOMERS:
            raise BadInputError(f"customer_ids: {len(ids)} ids, expected 1 to {MAX_CUSTOMERS}; split the request")
        for place, customer in enumerate(ids, start=1):
            if (size := len(customer.encode())) > MAX_CUSTOMER_ID:
                raise BadInputError(
                    f"customer_ids: the id at place {place} has {size} bytes, expected at most {MAX_CUSTOMER_ID}"
                )
        return ScoreRequest(model, tenant, tuple(dict.fromkeys(ids)))


@dataclass(frozen=True, slots=True)
class Serving:
    """A champion that is ready to answer requests.

    `fallback` is the score of a customer of whom nothing is known. `versions` are the versions whose feature vectors
    the champion can score because they have the same feature set, the champion itself first. `artifact` is None where
    no version could be loaded; then everybody gets `fallback`. `number` and `fallback` are None where not even a base
    rate could be read. `degraded` says what failed, or is None.
    """

    number: int | None
    artifact: Artifact | None
    fallback: float | None
    versions: tuple[int, ...] = ()
    degraded: str | None = None
    _calibrated: dict[int, Artifact] = field(default_factory=dict)

    def calibrated(self, ports: Ports, artifact: Artifact, number: int | None) -> Artifact:
        """Return the artifact with the calibration of this number, or with its newest one for None."""
        if number is None or number == artifact.calibration_number:
            return artifact
        if number not in self._calibrated:
            made = read_calibration(ports.lake, artifact.version, number)
            self._calibrated[number] = replace(artifact, calibration=made, calibration_number=number)
        return self._calibrated[number]


def load_serving(ports: Ports, model: str, number: int) -> Serving:
    """Load the champion for answering. Raises NotFoundError where the version does not exist."""
    version = load_version(ports.lake, model, number)
    feature_set = version.lineage["feature_set"]
    same = [
        other
        for other in version_numbers(ports.lake, model)
        if other != number and load_version(ports.lake, model, other).lineage["feature_set"] == feature_set
    ]
    artifact = load_artifact(ports, version)
    versions = (number, *sorted(same, reverse=True)[:_OTHER_VERSIONS])
    return Serving(number, artifact, base_rate(ports, model, number), versions)


def base_rate(ports: Ports, model: str, number: int) -> float:
    """Return the base rate of a version's training."""
    return float(read_json(ports.lake, f"{version_folder(model, number)}/reference.json")["base_rate"])


def serve_scores(
    ports: Ports, serving: Serving, request: ScoreRequest, *, request_id: str, at: str, by: str | None = None
) -> dict[str, Any]:
    """Return one answer per customer, in the order asked.

    An answer has score, percentile, decile, reasons, reason_method, model_version, calibration, as_of, source, rung and
    degraded_reason. `source` is `champion`, or `fallback` for a customer whose features are unknown or cannot be read;
    then percentile, decile and as_of are null. Without any readable version, `source` is `published` for a customer
    whose last published score is known, and `none` with a score of null for the others. `rung` names the rung of the
    ladder that answered; it is null for a version without a ladder. `degraded_reason` is null where nothing failed.
    """
    answers = _published(ports, serving, request) if serving.number is None else _scored(ports, serving, request)
    _log(ports, serving, request, answers, request_id=request_id, at=at, by=by)
    fallbacks = sum(answer["source"] != "champion" for answer in answers)
    degraded = [answer["degraded_reason"] for answer in answers if answer["degraded_reason"]]
    ports.metrics.count("ScoresServed", len(answers), model=request.model)
    ports.metrics.count("FallbacksServed", fallbacks, model=request.model)
    ports.metrics.count("FallbackPercent", 100 * fallbacks / len(answers))
    if serving.degraded:
        ports.metrics.count("ChampionStale")
    if refused := degraded.count(TABLE_REFUSED):
        ports.metrics.count("OnlineTableRefused", refused)
    if bad := degraded.count(VECTOR_UNREADABLE) + degraded.count(NOT_SCORED):
        ports.metrics.count("CustomersNotScored", bad)
    return {"model": request.model, "model_version": serving.number, "scores": answers}


def _scored(ports: Ports, serving: Serving, request: ScoreRequest) -> list[dict[str, Any]]:
    artifact, refused = serving.artifact, False
    found: dict[str, OnlineScore] = {}
    answers: dict[str, dict[str, Any]] = {}
    sound: set[str] = set()
    if artifact is not None:
        found, refused = _found(ports, serving, request)
        size = np.dtype(np.float32).itemsize * len(artifact.definition.feature_names)
        readable = [row for row in found.values() if len(row.vector) == size]
        sound = {row.customer_id for row in readable}
        answers = _by_calibration(ports, serving, artifact, request.tenant_id, readable)
    out = []
    for customer in request.customer_ids:
        if customer in answers:
            out.append(answers[customer])
            continue
        if customer in found:
            reason: str | None = NOT_SCORED if customer in sound else VECTOR_UNREADABLE
        else:
            reason = TABLE_REFUSED if refused else serving.degraded
        out.append(_answer(customer, serving, score=serving.fallback, source="fallback", degraded_reason=reason))
    return out


def _answer(customer: str, serving: Serving, **given: Any) -> dict[str, Any]:
    return {
        "customer_id": customer,
        "score": None,
        "percentile": None,
        "decile": None,
        "unranked_reason": "not_scored",
        "reasons": [],
        "reason_method": None,
        "model_version": serving.number,
        "calibration": None,
        "as_of": None,
        "source": "none",
        "rung": None,
        "degraded_reason": serving.degraded,
        **given,
    }


def _found(ports: Ports, serving: Serving, request: ScoreRequest) -> tuple[dict[str, OnlineScore], bool]:
    """Return what the online table holds of each customer, and whether the table refused to say so."""
    found: dict[str, OnlineScore] = {}
    for version in serving.versions:
        missing = [customer for customer in request.customer_ids if customer not in found]
        if not missing:
            break
        try:
            rows = ports.online.get_many(request.tenant_id, missing, request.model, version)
        except Exception as error:  # noqa: BLE001 - whatever the table's fault is, there is a fallback
            ports.tell_fault("read the online table", error, model=request.model, version=version)
            return found, True
        found |= {row.customer_id: row for row in rows}
    return found, False


def _by_calibration(
    ports: Ports, serving: Serving, artifact: Artifact, tenant_id: str, rows: Sequence[OnlineScore]
) -> dict[str, dict[str, Any]]:
    """Return the answers of the rows, each made with the calibration of the run that made the row's list.

    A place on the list belongs to that run's scores. Where the calibration cannot be read, the newest one stands in.
    """
    groups: dict[int | None, list[OnlineScore]] = {}
    for row in rows:
        groups.setdefault(row.calibration if row.version == serving.number else None, []).append(row)
    answers: dict[str, dict[str, Any]] = {}
    for number, group in groups.items():
        answering = serving
        try:
            calibrated = serving.calibrated(ports, artifact, number)
        except Exception as error:  # noqa: BLE001 - whatever the fault is, the champion that is held can answer
            ports.tell_fault("read a calibration", error, **_of(artifact))
            calibrated = artifact
            answering = replace(serving, degraded=serving.degraded or CALIBRATION_UNREADABLE)
        answers |= _by_champion(ports, calibrated, answering, tenant_id, group)
    return answers


def _of(artifact: Artifact) -> dict[str, str | int]:
    return {"model": artifact.version.model, "version": artifact.version.number}


def _by_champion(
    ports: Ports, artifact: Artifact, serving: Serving, tenant_id: str, rows: Sequence[OnlineScore]
) -> dict[str, dict[str, Any]]:
    """Return the answers of the rows that can be scored: all at once, or each by itself where one breaks the others."""
    try:
        return _at_once(artifact, serving, tenant_id, rows)
    except Exception as error:  # noqa: BLE001 - the model's library has no common root for its errors
        ports.tell_fault("score customers", error, **_of(artifact), rows=len(rows))
        if len(rows) == 1:
            return {}
        alone = (_by_champion(ports, artifact, serving, tenant_id, [row]) for row in rows)
        return {name: one for answers in alone for name, one in answers.items()}


def _at_once(
    artifact: Artifact, serving: Serving, tenant_id: str, rows: Sequence[OnlineScore]
) -> dict[str, dict[str, Any]]:
    width = len(artifact.definition.feature_names)
    matrix = np.frombuffer(b"".join(row.vector for row in rows), dtype=np.float32).reshape(len(rows), width)
    tenants = np.full(len(rows), tenant_id, dtype=object)
    _, scores, sound = artifact.try_score(matrix, tenants)
    rungs = artifact.rungs(tenants)
    reasons, methods = artifact.reasons(matrix, tenants, REASONS)
    answers = {}
    for number, row in enumerate(rows):
        if not sound[number]:
            continue
        # percentile and decile belong to the version that published them with its score
        placed = row.version == serving.number
        answers[row.customer_id] = _answer(
            row.customer_id,
            serving,
            score=float(scores[number]),
            percentile=row.percentile if placed else None,
            decile=row.decile if placed else None,
            unranked_reason=row.unranked_reason if placed else "other_version",
            reasons=[said for _, _, said in reasons.of_row(number, artifact.definition.features)],
            reason_method=METHODS[methods[number]] if methods[number] >= 0 else None,
            calibration=artifact.calibration_number,
            as_of=row.as_of,
            source="champion",
            rung=None if rungs is None else str(rungs[number]),
        )
    return answers


def _published(ports: Ports, serving: Serving, request: ScoreRequest) -> list[dict[str, Any]]:
    """Return the scores that batches published last, whatever version made them: no version can be read."""
    try:
        rows = {
            row.customer_id: row for row in ports.online.newest(request.tenant_id, request.customer_ids, request.model)
        }
    except Exception as error:  # noqa: BLE001 - as in _found
        ports.tell_fault("read published scores", error, model=request.model)
        rows = {}
    answers = []
    for customer in request.customer_ids:
        row = rows.get(customer)
        given: dict[str, Any] = {}
        if row is not None and 0 <= row.score <= 1:
            given = {
                "score": row.score,
                "percentile": row.percentile,
                "decile": row.decile,
                "unranked_reason": row.unranked_reason,
                "reasons": list(row.reasons),
                "model_version": row.version,
                "as_of": row.as_of,
                "source": "published",
            }
        answers.append(_answer(customer, serving, **given))
    return answers


def _log(
    ports: Ports,
    serving: Serving,
    request: ScoreRequest,
    answers: Sequence[dict[str, Any]],
    *,
    request_id: str,
    at: str,
    by: str | None,
) -> None:
    fields = ("customer_id", "score", "decile", "source", "degraded_reason")
    try:
        ports.inference_queue.send(
            {
                "request_id": request_id,
                "answered_at": at,
                "signer": by,
                "model": request.model,
                "model_version": serving.number,
                "tenant_id": request.tenant_id,
                "scores": [{name: answer[name] for name in fields} for answer in answers],
            }
        )
    except Exception as error:  # noqa: BLE001 - the scores are there, and the caller waits for them
        ports.tell_fault("send to the inference log", error, model=request.model, rows=len(answers))
        ports.metrics.count("AnswersNotLogged", len(answers))
