"""explain_score: which version scored a customer on a day, from which data, and what was answered on demand.

Nothing is computed again: the answer is read from gold/scores, gold/inference_log and the registry. Each fact counts
from the time (UTC) at which an object recorded it. A score counts from its run's receipt, a champion from its ledger
line.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from propensity.kernel.errors import BadInputError, NotFoundError
from propensity.kernel.sql_text import midnight, quote, read_files, text
from propensity.kernel.tenant import parse_tenant
from propensity.lake.domain.run_names import parse_day
from propensity.lake.gold_tables import INFERENCE_LOG, SCORES, may_hold_day_until
from propensity.lake.pins import score_files
from propensity.lake.session import download
from propensity.pack.current import pack_info
from propensity.ports import DataFile, ObjectStore, Ports, Snapshot, Sql
from propensity.registry.domain.ledger import LedgerLine, model_standing
from propensity.registry.versions import dated_ledger, load_version, version_numbers, written_at

_READ = 256_000_000  # the most bytes of the inference log that one answer reads
# Columns that were added to gold/scores later. A table that is older than such a column lacks it, and so does the
# answer.
_SCORE = (
    "score",
    "percentile",
    "decile",
    "unranked_reason",
    "model_version",
    "calibration",
    "rung",
    "feature_set",
    "run",
    "scope",
    "source",
    "reason_method",
)


@dataclass(frozen=True, slots=True)
class Question:
    """The question to answer: whose score, by which model, on which day (in UTC)."""

    tenant_id: str
    customer_id: str
    model: str
    day: date

    @staticmethod
    def parse(tenant_id: str, body: Mapping[str, Any]) -> Question:
        """Read the question from a request. Raises BadInputError naming the field."""
        for field in ("customer_id", "model", "day"):
            if not isinstance(body.get(field), str) or not body[field]:
                raise BadInputError(f"{field}: expected text")
        day = parse_day(body["day"], "day")
        return Question(parse_tenant(tenant_id), body["customer_id"], body["model"], day)

    @property
    def start(self) -> datetime:
        return midnight(self.day).replace(tzinfo=UTC)

    @property
    def end(self) -> datetime:
        """Return the end of the day: everything that was written before the end counts."""
        return self.start + timedelta(days=1)


def explain_score(ports: Ports, question: Question) -> dict[str, Any]:
    """Return the score that held when the day ended, every score as of the day, and the day's answers on demand.

    `held` is the newest committed score of the version that was champion when the day ended. Where that version had not
    scored the customer yet, `held` is the newest score of any other version. Scores in `scores` may have been committed
    later; each score says when. `answers` is null, with `answers_bytes`, where more than 256 MB would have to be read
    for the answers.

    Raises BadInputError for a tenant's name that cannot be one, and NotFoundError for a model that was never
    registered.
    """
    history = _History.read(ports.lake, question)
    if not history.lines and not version_numbers(ports.lake, question.model):
        raise NotFoundError(f"model {question.model!r}: never registered; expected one of {_models(ports)}")
    with ports.sql() as sql:
        rows = [history.dated(row) for row in _scores(ports, sql, question)]
        answers = _answers(ports, sql, question)
    newest = _held(rows, history.champion, question)
    of_day = [row for row in rows if row["as_of"] == question.day.isoformat()]
    return {
        "tenant_id": question.tenant_id,
        "customer_id": question.customer_id,
        "model": question.model,
        "day": question.day.isoformat(),
        "champion": history.champion,
        "held": newest and history.explained(newest),
        "scores": [history.explained(row) for row in sorted(of_day, key=_order)],
        **answers,
    }


def _models(ports: Ports) -> str:
    return ", ".join(pack_info(ports).models)


def _held(rows: Sequence[dict[str, Any]], champion: int | None, question: Question) -> dict[str, Any] | None:
    """Return the score that held when the day ended; None where no score held.

    A run's receipt may have expired. The scores of such a run count from their as-of date.
    """
    known = [
        row
        for row in rows
        if row["source"] != "challenger"
        and (row["committed_at"] is None or datetime.fromisoformat(row["committed_at"]) < question.end)
    ]
    return max(known, key=lambda row: (row["model_version"] == champion, *_order(row)), default=None)


def _order(row: Mapping[str, Any]) -> tuple[str, str, str]:
    return row["as_of"], row["committed_at"] or "", row["run"]


@dataclass(slots=True)
class _History:
    """The ledger of a model, each line with the time at which the line was written."""

    store: ObjectStore
    question: Question
    lines: Sequence[tuple[datetime, LedgerLine]]

    @staticmethod
    def read(store: ObjectStore, question: Question) -> _History:
        return _History(store, question, dated_ledger(store, question.model))

    @property
    def champion(self) -> int | None:
        """Return the version that was champion when the day ended."""
        return model_standing(line for written, line in self.lines if written < self.question.end).champion

    def dated(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return a score with the time at which its run was committed.

        The time is None where the receipt has expired.
        """
        committed = written_at(self.store, f"{row['run']}/receipt.json")
        return {**row, "committed_at": committed and committed.isoformat()}

    def explained(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return a score with its version's lineage, and the version's stages when the day ended and now.

        The stage is null where the version was not registered yet.
        """
        number, end = row["model_version"], self.question.end
        version = load_version(self.store, self.question.model, number)
        provenance = version.provenance
        registered = written_at(self.store, f"{version.folder}/lineage.json")
        then = model_standing(line for written, line in self.lines if written < end)
        return {
            **row,
            "stage_then": then.stage(number) if registered and registered < end else None,
            "stage_now": model_standing(line for _, line in self.lines).stage(number),
            "lineage": {
                "family": provenance.family,
                "trained_as_of": provenance.as_of,
                "silver": provenance.silver,
                "run": provenance.run,
            },
        }


def _scores(ports: Ports, sql: Sql, question: Question) -> list[dict[str, Any]]:
    """Return the customer's rows of gold/scores, as of the day or an earlier one."""
    snapshot = ports.tables.snapshot(SCORES)
    keys = [f"{SCORES}/{file.path}" for file in _files(ports, sql, snapshot, question)] if snapshot else []
    if not keys:
        return []
    source = read_files(download(sql, ports.lake, keys, "scores"))
    present = {name for name, *_ in sql.rows(f"describe select * from {source}")}
    columns = [name for name in _SCORE if name in present]
    rows = sql.rows(
        f"select {', '.join(map(quote, columns))}, as_of::varchar, table_versions, [one.text for one in reasons] "
        f"from {source} where {_mine(question)} and as_of <= {text(question.day.isoformat())}::date"
    )
    return [
        {
            **dict(zip(columns, row, strict=False)),
            "as_of": row[-3],
            "table_versions": json.loads(row[-2]),
            "reasons": list(row[-1] or ()),
        }
        for row in rows
    ]


def _files(ports: Ports, sql: Sql, snapshot: Snapshot, question: Question) -> Iterator[DataFile]:
    """Return the files of the model and of the customer's bucket, without the files of runs of later days."""
    by_tenant = pack_info(ports).partition_key == "tenant"
    key = question.tenant_id if by_tenant else question.customer_id
    for file in score_files(sql, snapshot, question.model, key):
        if may_hold_day_until(file.path, question.day.isoformat()):
            yield file


def _answers(ports: Ports, sql: Sql, question: Question) -> dict[str, Any]:
    """Return the day's answers on demand, from the files of the log that were written since the day began."""
    snapshot = ports.tables.snapshot(INFERENCE_LOG)
    if snapshot is None:
        return {"answers": []}
    written = {info.key: info.last_modified for info in ports.lake.infos(f"{INFERENCE_LOG}/")}
    files = [file for file in snapshot.files if written[f"{INFERENCE_LOG}/{file.path}"] >= question.start]
    size = sum(file.size for file in files)
    if size > _READ:
        return {"answers": None, "answers_bytes": size}
    if not files:
        return {"answers": []}
    paths = download(sql, ports.lake, [f"{INFERENCE_LOG}/{file.path}" for file in files], "answers")
    columns = ("answered_at", "model_version", "score", "decile", "source")
    rows = sql.rows(
        "select strftime(timezone('UTC', answered_at), '%Y-%m-%dT%H:%M:%S.%gZ'), model_version, score, decile, source "
        f"from {read_files(paths)} where {_mine(question)} and model = {text(question.model)} "
        f"and answered_at >= {text(question.start.isoformat())}::timestamptz "
        f"and answered_at < {text(question.end.isoformat())}::timestamptz order by answered_at, source"
    )
    return {"answers": [dict(zip(columns, row, strict=True)) for row in rows]}


def _mine(question: Question) -> str:
    return f"tenant_id = {text(question.tenant_id)} and customer_id = {text(question.customer_id)}"
