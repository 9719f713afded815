"""Whether the files of a version are as they were registered."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from propensity.kernel.errors import NotFoundError
from propensity.kernel.tenant import tenant_of
from propensity.ports import ObjectReader
from propensity.registry.versions import Version

_READERS = 8
_EMPTY = hashlib.sha256(b"").hexdigest()


def damaged_files(store: ObjectReader, version: Version) -> list[str] | None:
    """Return the names of the files that are missing or not as registered, without those that an erasure took.

    Returns None for a version that is older than the record of its files.
    """
    recorded = version.provenance.files
    if recorded is None:
        return None

    def digest(name: str) -> str | None:
        try:
            return hashlib.sha256(store.get(f"{version.folder}/{name}")).hexdigest()
        except NotFoundError:
            return None

    with ThreadPoolExecutor(_READERS) as pool:
        found = dict(zip(recorded, pool.map(digest, recorded), strict=True))
    erased = _erased(found)
    return sorted(name for name, digest in recorded.items() if found[name] != digest and tenant_of(name) not in erased)


def _erased(found: Mapping[str, str | None]) -> set[str]:
    """Return the tenants whose own model was erased; the global model scores their rows.

    The erasure of a tenant removes all files of its model. The erasure of a customer may leave one of these files
    empty. `found` has for each file the SHA-256 of its content, None where the file is missing.
    """
    files: dict[str, list[str | None]] = {}
    for name, digest in found.items():
        if tenant := tenant_of(name):
            files.setdefault(tenant, []).append(digest)
    # Damage looks different: it takes one file of several, and hardly ever leaves a file of no bytes.
    return {tenant for tenant, digests in files.items() if not any(digests) or _EMPTY in digests}
