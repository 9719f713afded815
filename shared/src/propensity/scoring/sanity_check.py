"""The look at a batch before it is made visible: its figures against the limits, its record, and who forced it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from propensity.lake.domain.run_records import LabelResult, ScoringPlan, TenantTally
from propensity.lake.json_objects import dumps, find_record, parse_record, write_once
from propensity.pack.current import pack_definition, pack_info
from propensity.pack.domain.model_spec import Sanity
from propensity.ports import ObjectStore, Ports
from propensity.registry.versions import load_version
from propensity.scoring.domain.sanity import Forced, SanityReport, added, forced_key, judge, refused, sanity_key
from propensity.scoring.rank_run import read_ties


def check_batch(
    ports: Ports, run: str, plan: ScoringPlan, labelled: Sequence[LabelResult], forced: Forced | None
) -> None:
    """Write `<run>/sanity.json`, and `<run>/forced.json` where a stopped batch is forced.

    Raises SanityError, after a metric, for a stopped batch that nobody forces. Metrics count the stopped batches and,
    in batches that pass, the tenants that are beyond a limit by themselves.
    """
    report = judge(
        _tallies(ports, run, labelled),
        _limits(ports, plan),
        run=run,
        model=plan.model,
        version=plan.version,
        features=max((result.features for result in labelled), default=0),
        earlier=plan.earlier,
    )
    written = write_once(ports.lake, sanity_key(run), dumps(report.model_dump(mode="json")))
    # the first look stands: limits of the pack may have changed since
    report = parse_record(written, sanity_key(run), SanityReport)
    if report.stopped:
        if forced is not None:
            ports.lake.put_new(forced_key(run), dumps(forced.model_dump()))
        if forced_of(ports.lake, run) is None:
            ports.metrics.count("BatchesStopped")
            raise refused(report)
    named = {one.tenant for check in report.checks for one in check.named}
    if named:
        ports.metrics.count("TenantsOutOfBounds", len(named), model=plan.model)


def forced_of(store: ObjectStore, run: str) -> dict[str, str | None] | None:
    """Return who forced a run and why, as the receipt has it; None for a run that needed no force."""
    found = find_record(store, forced_key(run), Forced)
    return None if found is None else found.model_dump()


def _limits(ports: Ports, plan: ScoringPlan) -> Sanity:
    """The limits of the deployed pack: who loosens one need not train again. Of a model that is gone, the version's."""
    if plan.model in pack_info(ports).models:
        return pack_definition(ports, plan.model).model.sanity
    return load_version(ports.lake, plan.model, plan.version).definition(ports.lake).model.sanity


def _tallies(ports: Ports, run: str, labelled: Sequence[LabelResult]) -> Mapping[str, TenantTally]:
    found: dict[str, TenantTally] = {}
    for result in labelled:
        for tenant, tally in result.tenants.items():
            found[tenant] = added([found[tenant], tally]) if tenant in found else tally
    for tenant, (ranked, tied) in read_ties(ports, run).items():
        if tenant in found:
            found[tenant] = found[tenant].model_copy(update={"ranked": ranked, "tied": tied})
    return found
