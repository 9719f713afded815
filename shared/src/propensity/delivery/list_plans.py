"""What a list is made from, pinned before it is made: the newest plan of a list, and its place among other lists."""

from __future__ import annotations

from collections.abc import Callable

from propensity.delivery.domain.order import ExportOrder, ExportPlan, export_folder
from propensity.delivery.domain.receipt import ListReceipt, receipt_key
from propensity.kernel.errors import IncompleteRunError
from propensity.lake.domain.run_names import run_version
from propensity.lake.gold_tables import EXPORTS, IDENTITIES, RECALLS, REVIEWS, SCORES
from propensity.lake.json_objects import dumps, find_record, read_record
from propensity.lake.pins import pin_datasets
from propensity.lake.silver_tables import datasets_used
from propensity.pack.current import contract_of, pack_info
from propensity.pack.domain.destination_spec import Destination
from propensity.pack.domain.list_rules import parse_destination, parse_rules
from propensity.ports import Ports, Snapshot
from propensity.registry.batches import gap_run_of
from propensity.registry.release_gate import refuse_unreleased
from propensity.registry.versions import load_champion, load_version

_TABLES = (SCORES, EXPORTS, IDENTITIES, RECALLS, REVIEWS)


def newest_plan(ports: Ports, order: ExportOrder, gap: str | None) -> ExportPlan:
    """Return the plan that an earlier try went on with, or make the first plan.

    `gap` is the execution that filled the gaps for the list. A recall takes the version of the recalled list, and needs
    no gaps filled. Raises NotFoundError where the model has no champion,
    IncompleteRunError where the gap run has not been committed, and ConflictError where lists of the version are not
    released.
    """
    newest, number = None, 1
    while found := find_record(ports.lake, _key(order, number), ExportPlan):
        newest, number = found, number + 1
    if newest is not None:
        return newest
    lake, model = ports.lake, order.request.model
    if order.recall is not None:
        folder = export_folder(order.tenant_id, order.recall.export)
        return _claim(ports, order, 1, read_record(lake, receipt_key(folder), ListReceipt).model_version)
    number = load_champion(lake, model).number if gap is None else _filled_by(ports, order, gap)
    refuse_unreleased(ports, load_version(lake, model, number))
    return _claim(ports, order, 1, number)


def plan_anew(ports: Ports, order: ExportOrder, late: ExportPlan) -> ExportPlan:
    """Return the plan after one that came too late, which sees the lists that came before."""
    return _claim(ports, order, late.number + 1, late.version)


def pinned_tables(ports: Ports, plan: ExportPlan) -> dict[str, Snapshot | None]:
    """The Gold tables as a plan pinned them; None for one that had no rows then."""
    pinned = {table: plan.tables.get(table) for table in _TABLES}
    return {
        table: None if number is None else ports.tables.snapshot(table, version=number)
        for table, number in pinned.items()
    }


def list_name(tenant: str, model: str, nth: int) -> str:
    """The name of the transaction that only one list can carry: the nth of a tenant by a model."""
    return f"list {nth} of {tenant} by {model}"


def destination_of(ports: Ports, order: ExportOrder, plan: ExportPlan | None) -> Destination:
    """Return the destination as the plan pinned it; without that, as the pack has it now."""
    pinned = plan.destination if plan else None
    return pinned or parse_destination(ports.pack_files, order.request.destination, ports.pack)


def list_datasets(ports: Ports, order: ExportOrder, version: int, destination: Destination) -> list[str]:
    """The datasets that the list reads: those of the version's SQL, of rules, of permissions and of the files."""
    info = pack_info(ports)
    definition = load_version(ports.lake, order.request.model, version).definition(ports.lake)
    rules = parse_rules(ports.pack_files, ports.pack).of(order.request.model)
    named = set(datasets_used(definition, info.datasets, [rule.sql for rule in rules]))
    named |= set(destination.tables)
    for dataset in info.datasets:
        contract = contract_of(ports, dataset)
        if contract.suppression or any(column.consent for column in contract.columns):
            named.add(dataset)
    return [dataset for dataset in info.datasets if dataset in named]


def _filled_by(ports: Ports, order: ExportOrder, gap: str) -> int:
    """The version that filled the gaps for a list, by the receipt of the gap run."""
    run = gap_run_of(ports, order.request.model, order.day, gap)
    if run is not None:
        return run_version(run)
    raise IncompleteRunError(
        f"export {order.export}: its gap run {gap} has not been committed, so customers would lack a score; redrive "
        f"the execution {gap}, then that of the list"
    )


def _claim(ports: Ports, order: ExportOrder, number: int, version: int) -> ExportPlan:
    """Write the plan of a number, unless another try did. Returns the plan that stands."""
    destination = destination_of(ports, order, None)
    # the place comes before the snapshot: a list that lands in between makes this one late, and is never overlooked
    nth = 1 + _last(lambda nth: _taken(ports, order, nth))
    pins = pin_datasets(ports, list_datasets(ports, order, version, destination))
    snapshots = {table: ports.tables.snapshot(table) for table in _TABLES}
    plan = ExportPlan(
        number=number,
        nth=nth,
        version=version,
        silver=pins.versions(),
        retracted=pins.retracted(),
        tables={table: snapshot and snapshot.version for table, snapshot in snapshots.items()},
        # with every field, so that a default of a later release changes nothing
        destination=Destination.model_validate(destination.model_dump(mode="json")),
    )
    key = _key(order, number)
    return plan if ports.lake.put_new(key, dumps(plan)) else read_record(ports.lake, key, ExportPlan)


def _key(order: ExportOrder, number: int) -> str:
    name = "plan.json" if number == 1 else f"plan-{number}.json"
    return f"{export_folder(order.tenant_id, order.export)}/{name}"


def _taken(ports: Ports, order: ExportOrder, nth: int) -> bool:
    name = list_name(order.tenant_id, order.request.model, nth)
    return bool(ports.tables.committed(EXPORTS, [name]))


def _last(taken: Callable[[int], bool]) -> int:
    """The last number that is taken; 0 without one. Every number below a taken one is taken too."""
    high = 1
    while taken(high):
        high *= 2
    low = high // 2  # taken, or 0
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if taken(middle) else (low, middle)
    return low
