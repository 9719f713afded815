"""request_backtest: take a request for a backtest, say how a backtest stands, and answer its report."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import yaml

from propensity.backtest.domain.origin_days import backtest_id, origins_of, parse_backtest
from propensity.features.silver_session import SilverSession
from propensity.kernel.errors import BadInputError, NotFoundError, PackError
from propensity.lake.definition_files import write_definition
from propensity.lake.domain.run_names import backtest_folder, origin_run, refuse_future
from propensity.lake.domain.run_records import BacktestOrder, ItemSource
from propensity.lake.json_objects import dumps, find_json, find_record, parse_record, write_once
from propensity.lake.silver_tables import datasets_used, shape_of
from propensity.pack.current import contract_of, pack_info, training_definition
from propensity.pack.domain.definition import Definition
from propensity.pack.domain.yaml_source import has_aliases
from propensity.ports import Execution, Ports
from propensity.training.domain.cost import check_candidate

MACHINE, TRAINS = "backtest_model", "train_model"
_ID = re.compile(r"[a-z][a-z0-9_]{0,63}")
_MOST_KEY = 200


def request_backtest(
    ports: Ports, model: str, body: Mapping[str, Any], *, key: str | None, by: str, at: str, request_id: str
) -> dict[str, Any]:
    """Start a backtest. The same request with the same idempotency key is the same backtest, and is started once.

    `key` is the caller's idempotency key; without one every request is a backtest of its own. `at` is the instant of
    the request: the backtest reads Silver as it was then. Raises BadInputError naming the field, also for a model's
    YAML that the pack's parser or the engine refuses, and NotFoundError for a model that the pack does not have where
    the request brings no YAML.
    """
    request = parse_backtest(body)
    if key is not None and not 0 < len(key) <= _MOST_KEY:
        raise BadInputError(f"Idempotency-Key: expected 1 to {_MOST_KEY} characters")
    moment = datetime.fromisoformat(at)
    as_of = request.as_of or moment.date()
    refuse_future(as_of, "as_of", at=moment)
    definition = _definition(ports, model, request.definition, as_of)
    backtest = backtest_id(definition, request, key if key is not None else request_id)
    folder = backtest_folder(model, backtest)
    origins = [day.isoformat() for day in origins_of(definition.model, request, as_of)]
    order = BacktestOrder(
        backtest=backtest,
        model=model,
        as_of=as_of.isoformat(),
        origins=origins,
        every_months=request.every_months,
        own_definition=request.definition is not None,
        recipe=definition.recipe,
        by=by,
        at=at,
    )
    write_definition(ports.lake, f"{folder}/definition", definition)
    written = write_once(ports.lake, f"{folder}/request.json", dumps(order.model_dump(mode="json")))
    first = parse_record(written, f"{folder}/request.json", BacktestOrder)
    payload = {"model": model, "backtest": backtest, "origins": [{"as_of": day} for day in first.origins]}
    ports.workflows.start(MACHINE, f"backtest-{backtest}", payload)
    return show_backtest(ports, model, backtest)


def show_backtest(ports: Ports, model: str, backtest: str) -> dict[str, Any]:
    """Return how a backtest stands: `running`, `failed` with the reason, or `ready` with its report.

    `judged` are the origins that are done. Raises NotFoundError for a backtest that nobody asked for.
    """
    order = _order(ports, model, backtest)
    folder = backtest_folder(model, backtest)
    answer = order.model_dump(mode="json")
    report = find_json(ports.lake, f"{folder}/report.json")
    if report is not None:
        return {**answer, "state": "ready", "judged": list(order.origins), "report": report}
    answer["judged"] = [day for day in order.origins if any(True for _ in ports.lake.keys(judged_key(order, day)))]
    execution = ports.workflows.find(MACHINE, f"backtest-{backtest}")
    if execution is not None and execution.state == "failed":
        return {**answer, "state": "failed", "reason": _reason(ports, order, execution)}
    return {**answer, "state": "running"}


def show_page(ports: Ports, model: str, backtest: str) -> tuple[str, str]:
    """Return (content type, HTML) of a backtest's page. Raises NotFoundError where there is no report yet."""
    order = _order(ports, model, backtest)
    try:
        page = ports.lake.get(f"{backtest_folder(model, order.backtest)}/report.html").decode()
    except NotFoundError as error:
        raise NotFoundError(f"backtest {backtest!r}: has no page yet; GET without format says how it stands") from error
    return "text/html; charset=utf-8", page


def list_backtests(ports: Ports, model: str) -> dict[str, Any]:
    """Return the backtests of a model that have not expired, newest first."""
    root = backtest_folder(model, "")
    keys = set(ports.lake.keys(root))
    found = []
    for name in sorted({key.removeprefix(root).split("/")[0] for key in keys}):
        order = find_record(ports.lake, f"{root}{name}/request.json", BacktestOrder)
        if order is not None:
            fields = order.model_dump(
                mode="json", include={"backtest", "as_of", "origins", "own_definition", "by", "at"}
            )
            found.append({**fields, "ready": f"{root}{name}/report.json" in keys})
    if not found and model not in pack_info(ports).models:
        raise NotFoundError(f"model {model!r}: expected one of {', '.join(pack_info(ports).models)}")
    return {"model": model, "backtests": sorted(found, key=lambda one: str(one["at"]), reverse=True)}


def judged_key(order: BacktestOrder, origin: str) -> str:
    """Return the key of what an origin came to."""
    return f"{origin_run(order.model, order.backtest, date.fromisoformat(origin))}/judged.json"


def _definition(ports: Ports, model: str, text: str | None, as_of: date) -> Definition:
    """Return the definition that is tried: the pack's, or one with the YAML of the request, which is proven first."""
    if text is None:
        return training_definition(ports, model)
    try:
        if has_aliases(text):
            raise BadInputError("definition: has an alias (*name); write out what it stands for")
        definition = training_definition(ports, model, text)
        for candidate in definition.model.candidates:
            check_candidate(candidate, f"models/{model}.yaml")
        _run_on_nothing(ports, definition, as_of)
    except (PackError, yaml.YAMLError) as error:
        raise BadInputError(f"definition: {error}") from error
    return definition


def _run_on_nothing(ports: Ports, definition: Definition, as_of: date) -> None:
    """Run each query of a definition on tables without rows. Raises PackError for a name or a type that is wrong.

    The tables are the pack's datasets, so a query of any other dataset is refused.
    """
    datasets = pack_info(ports).datasets
    if not datasets_used(definition, datasets):
        raise PackError(f"model {definition.model.name}: reads no dataset; expected some of {', '.join(datasets)}")
    sources = {name: ItemSource(shape=shape_of(contract_of(ports, name)), keys=()) for name in datasets}
    with ports.sql() as sql:
        session = SilverSession(sql, ports.lake, sources, definition)
        session.cut(as_of)
        session.features("features")
        session.slices("features")
        session.outcomes("converted", as_of, None)
        session.treated("under_treatment")
        session.censored("out_of_sight")
        session.segments("segments")
        if definition.model.filter:
            session.filtered("filtered")


def _order(ports: Ports, model: str, backtest: str) -> BacktestOrder:
    if not _ID.fullmatch(backtest):
        raise BadInputError(f"backtest {backtest[:80]!r}: expected an id as the POST answered it")
    order = find_record(ports.lake, f"{backtest_folder(model, backtest)}/request.json", BacktestOrder)
    if order is None:
        raise NotFoundError(f"backtest {backtest!r}: model {model} has none of this id, or it has expired")
    return order


def _reason(ports: Ports, order: BacktestOrder, execution: Execution) -> str | None:
    """Return why a backtest failed: the reason of the training of the first origin that failed, else its own."""
    for origin in order.origins:
        training = ports.workflows.find(TRAINS, f"backtest-{order.backtest}-{origin}")
        if training is not None and training.state == "failed":
            return f"origin {origin}: {training.reason}"
    return execution.reason
