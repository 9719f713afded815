"""report_backtest: put the origins of a backtest into one report, a page, and the proof for the release gate."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from propensity.backtest.backtest_figures import Rows, figures_of, figures_together, high_low, list_gains
from propensity.backtest.domain.backtest_report import BacktestReport, OriginReport
from propensity.backtest.domain.origin_days import without_overlap
from propensity.backtest.domain.report_page import report_page
from propensity.backtest.judge_origin import COLUMNS, Judged
from propensity.kernel.errors import EvidenceError, IncompleteRunError
from propensity.kernel.pages import to_html
from propensity.lake.definition_files import read_definition
from propensity.lake.domain.run_names import backtest_folder, origin_run
from propensity.lake.domain.run_records import BacktestOrder
from propensity.lake.json_objects import dumps, find_record, read_record, write_once
from propensity.pack.domain.model_spec import ModelSpec
from propensity.ports import Ports
from propensity.registry.domain.release_proof import ReleaseProof, recipe_proofs
from propensity.registry.release_gate import keep_proof


def report_backtest(ports: Ports, *, model: str, backtest: str) -> dict[str, Any]:
    """Write report.json and report.html below the backtest's folder, and the proof into the registry.

    The proof counts for every version of the definition's recipe. Raises IncompleteRunError where an origin has not
    been judged.
    """
    folder = backtest_folder(model, backtest)
    order = read_record(ports.lake, f"{folder}/request.json", BacktestOrder)
    definition = read_definition(ports.lake, f"{folder}/definition", model)
    spec = definition.model
    judged = [_judged(ports, order, origin) for origin in order.origins]
    rows = [_rows(ports, one) for one in judged]
    days = [date.fromisoformat(origin) for origin in order.origins]
    counted = {day.isoformat() for day in without_overlap(spec, days)}
    together = [one for one in rows if one.as_of in counted]
    has_filter = spec.filter is not None
    proof = _proof(order, judged, together)
    report = BacktestReport(
        backtest=backtest,
        model=model,
        recipe=order.recipe,
        feature_set=definition.feature_set,
        own_definition=order.own_definition,
        as_of=order.as_of,
        by=order.by,
        at=order.at,
        horizon_days=spec.horizon_days,
        settle_days=spec.settle_days,
        origins=tuple(
            _origin(one, these, spec, counted=these.as_of in counted) for one, these in zip(judged, rows, strict=True)
        ),
        together=figures_together(together),
        gains=list_gains(together, has_filter=has_filter, value=spec.value),
        proof=proof,
        limits=spec.release.model_dump(),
        short_of=proof.short_of(spec.release),
        notes=_notes(spec, judged, counted),
    )
    written = write_once(ports.lake, f"{folder}/report.json", dumps(report.model_dump(mode="json")))
    stands = BacktestReport.model_validate(json.loads(written))
    ports.lake.put_new(f"{folder}/report.html", to_html(report_page(stands, spec)).encode())
    keep_proof(ports.lake, recipe_proofs(model, order.recipe), backtest, stands.proof)
    ports.metrics.count("Backtested", model=model, passed=str(stands.short_of is None).lower())
    return {"model": model, "backtest": backtest, "passed": stands.short_of is None, "short_of": stands.short_of}


def _judged(ports: Ports, order: BacktestOrder, origin: str) -> Judged:
    run = origin_run(order.model, order.backtest, date.fromisoformat(origin))
    found = find_record(ports.lake, f"{run}/judged.json", Judged)
    if found is None:
        raise IncompleteRunError(
            f"{order.backtest}: origin {origin} has not been judged; redrive execution "
            f"backtest-{order.backtest}-{origin} of the training workflow, then this one"
        )
    return found


def _rows(ports: Ports, judged: Judged) -> Rows:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scores.parquet"
        ports.lake.download(judged.scores, path)
        columns = ports.frames.read(path, list(COLUMNS))
    tenant, customer, score, decile, label, chosen = (columns[name] for name in COLUMNS)
    return Rows(judged.as_of, tenant, customer, score, decile, label, chosen)


def _origin(judged: Judged, rows: Rows, spec: ModelSpec, *, counted: bool) -> OriginReport:
    figures, findings = figures_of(rows, has_filter=spec.filter is not None)
    return OriginReport(
        judged=judged.model_dump(mode="json"),
        counted=counted,
        figures=figures,
        findings=findings,
        gains=list_gains([rows], has_filter=spec.filter is not None, value=spec.value),
    )


def _proof(order: BacktestOrder, judged: Sequence[Judged], together: Sequence[Rows]) -> ReleaseProof:
    difference, positives, why_not = None, 0, None
    try:
        found = high_low(together)
        difference, positives = found.difference, found.positives
    except EvidenceError as error:
        why_not = str(error)
    return ReleaseProof(
        source="backtest",
        by=order.backtest,
        model=order.model,
        as_of=tuple(rows.as_of for rows in together),
        known_by=max(one.known_by for one in judged),
        difference=difference,
        positives=positives,
        why_not=why_not,
    )


def _notes(spec: ModelSpec, judged: Sequence[Judged], counted: set[str]) -> tuple[str, ...]:
    notes = [
        "Each origin was trained by what was known on its day, and is judged by outcomes known "
        f"{spec.settle_days} days after the end of its label window. A row counts from when it was known; where a "
        "source says so itself, and not the file's arrival, that is the source's word.",
        "The definition and its settings are of today. Whoever wrote them may have seen these outcomes, so the figures "
        "can be a little too good.",
        "Customers whose outcome could not be seen are in no figure, and are not ranked.",
    ]
    left = [one.as_of for one in judged if one.as_of not in counted]
    if left:
        notes.append(
            f"The label window has {spec.horizon_days} days, so the windows of some origins overlap. "
            f"{', '.join(left)} are shown, and are not in the figures over all origins."
        )
    failed = [f"{one.as_of} ({', '.join(one.failed_gates)})" for one in judged if one.failed_gates]
    if failed:
        notes.append(f"Production would not have promoted the training of {', '.join(failed)}: these gates failed.")
    reused = [f"{one.as_of} (version {one.version})" for one in judged if one.version is not None]
    if reused:
        notes.append(f"Trained on that day already, and not again: {', '.join(reused)}.")
    return tuple(notes)
