"""manage_registry: list a model's versions, promote one, roll back; one call each, no redeploy."""

from __future__ import annotations

from typing import Any

import numpy as np

from propensity.domain.errors import BadInputError, NotFoundError
from propensity.domain.registry import CHAMPION, before, describe, holder
from propensity.ports import Ports
from propensity.usecases.erasures import erasure_records, rows_erased_since
from propensity.usecases.planning import pack_info
from propensity.usecases.registry import load_version, move_alias, moves, version_numbers
from propensity.usecases.scoring import load_artifact


def list_versions(ports: Ports, model: str) -> dict[str, Any]:
    """Every version with its aliases and figures, and the ledger of alias moves, oldest first.

    `rows_erased` says per dataset how many rows of those that it was trained from were erased since.

    Raises NotFoundError for a model that the pack does not have and that was never registered.
    """
    ledger = moves(ports.lake, model)
    erased = erasure_records(ports.lake)
    champion = holder(ledger, CHAMPION)
    versions = []
    for number in version_numbers(ports.lake, model):
        version = load_version(ports.lake, model, number)
        aliases = [CHAMPION] if number == champion else []
        said = describe(number, version.json(ports.lake, "metrics.json"), version.lineage, aliases)
        versions.append({**said, "rows_erased": rows_erased_since(erased, version.lineage["silver"])})
    if not versions and model not in pack_info(ports).models:
        raise NotFoundError(f"model {model!r}: expected one of {', '.join(pack_info(ports).models)}")
    return {"model": model, "champion": champion, "versions": versions, "ledger": [one.model_dump() for one in ledger]}


def promote(ports: Ports, model: str, version: object, *, by: str, why: object, at: str) -> dict[str, Any]:
    """Make a version the champion after loading it. Raises BadInputError naming the field, NotFoundError."""
    if not isinstance(version, int) or isinstance(version, bool):
        raise BadInputError("version: expected a whole number, as GET of the model lists them")
    return _move(ports, model, version, by=by, why=why, at=at)


def roll_back(ports: Ports, model: str, *, by: str, why: object, at: str) -> dict[str, Any]:
    """Give the alias back to the version that held it before. Raises NotFoundError where there was none."""
    return _move(ports, model, before(moves(ports.lake, model), CHAMPION, model), by=by, why=why, at=at)


def _move(ports: Ports, model: str, version: int, *, by: str, why: object, at: str) -> dict[str, Any]:
    if not isinstance(why, str) or not why.strip():
        raise BadInputError("why: expected a sentence for the ledger")
    artifact = load_artifact(ports, load_version(ports.lake, model, version))
    # an artifact that cannot score a row of missing values must not become the one that scores everyone
    artifact.score(np.full((1, len(artifact.definition.feature_names)), np.nan, dtype=np.float32))
    move = move_alias(ports.lake, model, CHAMPION, version, by=by, why=why, at=at)
    ports.metrics.count("ChampionMoved", model=model)
    return move.model_dump()
