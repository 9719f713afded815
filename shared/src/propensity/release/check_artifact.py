"""Whether a version can score now: before an alias goes to it, its artifact is loaded, held against what was recorded
at its registration and against the contracts of today, and made to score.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np

from propensity.kernel.errors import ConflictError, NotFoundError, PropensityError, RetryableError
from propensity.kernel.tenant import tenant_of
from propensity.pack.current import contract_of, pack_info
from propensity.ports import ObjectStore, Ports
from propensity.registry.artifact import Artifact, load_artifact
from propensity.registry.versions import Version

_READERS = 8
_EMPTY = hashlib.sha256(b"").hexdigest()
NOT_RECORDED = "not recorded"


def check_artifact(ports: Ports, version: Version) -> dict[str, Any]:
    """Raises ConflictError saying what is wrong with the version; nothing has been changed then.

    The answer: per check `ok`, or `not recorded` where the version is from before that was written down.
    """
    schema = version.lineage.get("schema") or {}
    checked = {
        "files": check_files(ports.lake, version),
        "columns": _columns(ports, version, schema),
    }
    with _loading(version):
        artifact = load_artifact(ports, version)
    checked["features"] = _features(artifact, schema.get("features"))
    checked["score"] = _score(artifact)
    return checked


def check_files(store: ObjectStore, version: Version) -> str:
    """Whether every file is as it was registered. Raises ConflictError naming those that are not."""
    recorded = version.lineage.get("files")
    if recorded is None:
        return NOT_RECORDED

    def digest(name: str) -> str | None:
        try:
            return hashlib.sha256(store.get(f"{version.folder}/{name}")).hexdigest()
        except NotFoundError:
            return None

    with ThreadPoolExecutor(_READERS) as pool:
        found = dict(zip(recorded, pool.map(digest, recorded), strict=True))
    gone = _erased(found)
    damaged = sorted(name for name, digest in recorded.items() if found[name] != digest and tenant_of(name) not in gone)
    if damaged:
        raise _refused(version, f"{', '.join(damaged)}: missing, or not as registered")
    return "ok"


def _erased(found: Mapping[str, str | None]) -> set[str]:
    """Tenants whose own models went: the erasure of a tenant takes all its files, that of a customer may empty one.

    `found`: names of files to what is there, None where nothing is. The global model scores such a tenant's rows.
    """
    files: dict[str, list[str | None]] = {}
    for name, digest in found.items():
        if tenant := tenant_of(name):
            files.setdefault(tenant, []).append(digest)
    # damage takes one file of several, and hardly leaves it there without a byte
    return {tenant for tenant, digests in files.items() if not any(digests) or _EMPTY in digests}


def _columns(ports: Ports, version: Version, schema: Mapping[str, Any]) -> str:
    """Whether today's contracts have the columns that the version's SQL names, as it knew them."""
    recorded = schema.get("columns")
    wanted: Mapping[str, Mapping[str, str]] = recorded or {dataset: {} for dataset in version.lineage.get("silver", ())}
    wrong = list(_misfits(ports, wanted))
    if wrong:
        raise _refused(version, f"its SQL does not fit the contracts of pack {ports.pack}: {'; '.join(wrong)}")
    return NOT_RECORDED if recorded is None else "ok"


def _misfits(ports: Ports, wanted: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    datasets = pack_info(ports).datasets
    for dataset, columns in sorted(wanted.items()):
        if dataset not in datasets:
            yield f"no dataset {dataset}"
            continue
        if not columns:
            continue
        now = {column.name: column.duckdb_type for column in contract_of(ports, dataset).columns}
        for name, kind in sorted(columns.items()):
            if now.get(name) != kind:
                yield f"{dataset}.{name} is {now.get(name, 'missing')}, was {kind}"


@contextmanager
def _loading(version: Version) -> Iterator[None]:
    """Raises ConflictError for whatever keeps a version from being loaded."""
    try:
        yield
    except RetryableError:
        raise
    # ours where a file is missing or is no model; the others are what parsers say to a file of another content
    except (PropensityError, ValueError, KeyError, TypeError) as error:
        told = str(error) if isinstance(error, PropensityError) else type(error).__name__
        raise _refused(version, f"it cannot be loaded: {told}") from error


def _features(artifact: Artifact, recorded: Sequence[str] | None) -> str:
    names, width = list(artifact.definition.feature_names), artifact.model.width
    if width is not None and width != len(names):
        raise _refused(artifact.version, f"model.onnx takes {width} features, its definition has {len(names)}")
    if recorded is None:
        return NOT_RECORDED
    if names != list(recorded):
        raise _refused(artifact.version, f"its features are {', '.join(names)}, were {', '.join(recorded)}")
    return "ok"


def _score(artifact: Artifact) -> str:
    """A row of missing values must score: an artifact that cannot must not become the one that scores everyone."""
    tenants = artifact.one_tenant_each()
    rows = np.full((len(tenants), len(artifact.definition.feature_names)), np.nan, dtype=np.float32)
    with _loading(artifact.version):  # the models of a ladder are loaded when the first row of theirs comes
        raw, score = artifact.score(rows, tenants)
    for name, values in (("model.onnx", raw), ("calibration.json", score)):
        if not (values.shape == (len(tenants),) and ((values >= 0) & (values <= 1)).all()):
            raise _refused(artifact.version, f"{name} gives {values.tolist()} for a row of missing values")
    return "ok"


def _refused(version: Version, what: str) -> ConflictError:
    return ConflictError(
        f"model {version.model} version {version.number}: {what}; the alias stays where it is: choose another version"
    )
