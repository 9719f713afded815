"""The champion ready to answer, or the last good one where the newest champion cannot be read or loaded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from propensity.kernel.errors import NotFoundError
from propensity.pack.current import pack_info
from propensity.ports import Ports
from propensity.registry.domain.ledger import CHAMPION, LedgerLine, ledger_root
from propensity.registry.versions import open_training, version_numbers, why_no_champion
from propensity.serving.serve_scores import Serving, base_rate, load_serving

_TRIES = 5  # versions that are tried before the answer is a base rate

# the values of degraded_reason that name a fault of the champion
LEDGER_UNREADABLE = "ledger_unreadable"  # the newest line of the ledger cannot be read
VERSION_MISSING = "champion_missing"  # the alias points to a version that is not there
CHAMPION_UNREADABLE = "champion_unreadable"  # a file of the version cannot be read or loaded
REGISTRY_REFUSED = "registry_refused"  # the bucket refuses to list or to read


def last_good_serving(ports: Ports, model: str) -> Serving:
    """Load the champion, or the champion before it that can be loaded, or a base rate, or nothing.

    Raises NotFoundError for a model that never had a champion.
    """
    degraded: str | None = None
    tried: list[int] = []
    try:
        for number, fault in _champions(ports, model):
            degraded = degraded or fault
            if number is None or number in tried:
                continue
            if len(tried) == _TRIES:
                break
            tried.append(number)
            try:
                return replace(load_serving(ports, model, number), degraded=degraded)
            except Exception as error:  # noqa: BLE001 - whatever the fault is, an older version may be sound
                ports.tell_fault("load a champion", error, model=model, version=number)
                degraded = degraded or champion_fault(ports, model, number, error)
        if not tried and degraded is None:
            raise NotFoundError(_why_nobody_answers(ports, model))
        for number in dict.fromkeys([*tried, *reversed(version_numbers(ports.lake, model))]):
            try:
                return Serving(number, None, base_rate(ports, model, number), degraded=degraded)
            except Exception as error:  # noqa: BLE001 - the base rate of another version is better than none
                ports.tell_fault("read a base rate", error, model=model, version=number)
    except NotFoundError:
        raise
    except Exception as error:  # noqa: BLE001 - the bucket refuses: what the online table holds is all there is
        ports.tell_fault("list the registry", error, model=model)
        degraded = degraded or REGISTRY_REFUSED
    if model not in pack_info(ports).models:
        raise NotFoundError(f"model {model!r}: no champion; expected one of {', '.join(pack_info(ports).models)}")
    return Serving(None, None, None, degraded=degraded)


def _why_nobody_answers(ports: Ports, model: str) -> str:
    """Say why the model has no champion: which gates its newest version failed, and which training has begun."""
    models = pack_info(ports).models
    if model not in models:
        return f"model {model!r}: no champion; expected a model of the pack, {', '.join(models)}"
    run = open_training(ports.lake, model)
    begun = f"; {run} has begun and registered no version yet" if run else ""
    return f"{why_no_champion(ports.lake, model)}{begun}; GET /v1/runs/{model} lists its runs"


def _champions(ports: Ports, model: str) -> Iterator[tuple[int | None, str | None]]:
    """Yield (version, None) for each line that made a champion, the newest first; (None, fault) for a broken line."""
    for key in reversed(list(ports.lake.keys(ledger_root(model)))):
        try:
            line = LedgerLine.model_validate_json(ports.lake.get(key))
        except Exception as error:  # noqa: BLE001 - a line that cannot be read says nothing, the one before it does
            ports.tell_fault("read a line of the ledger", error, model=model)
            yield None, LEDGER_UNREADABLE
            continue
        if line.alias == CHAMPION:
            yield line.version, None


def champion_fault(ports: Ports, model: str, number: int | None, error: Exception) -> str:
    """Name what failed. `number` is the version that was being loaded; None while it was being looked up."""
    if number is None:
        return LEDGER_UNREADABLE if isinstance(error, ValueError) else REGISTRY_REFUSED
    try:
        there = number in version_numbers(ports.lake, model)
    except Exception as listing:  # noqa: BLE001 - this only finds the name of a fault
        ports.tell_fault("list versions", listing, model=model)
        return REGISTRY_REFUSED
    return CHAMPION_UNREADABLE if there else VERSION_MISSING
