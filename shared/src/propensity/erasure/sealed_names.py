"""The names of a person between the attempts at one erasure, so that another call can finish what one call began.

Only Silver and Bronze say which addresses and numbers are the person's. An attempt that erased Silver and failed in a
zone of texts would leave nobody who can search that zone. So the names wait below audit/erasing-names/, sealed by the
customer's id, which the next call brings. They go when nothing is left to do.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from propensity.erasure.domain.erasure_report import names_key
from propensity.kernel.errors import NotFoundError
from propensity.kernel.tenant import Subject
from propensity.ports import ObjectStore

_ROUND = 4_096  # every seal is a multiple of this many bytes, so that its size says nothing


def recall(store: ObjectStore, subject: Subject, request: str) -> tuple[str, ...]:
    """Return the names that an attempt before sealed; none where there are none, or they are another person's."""
    try:
        sealed = store.get(names_key(request))
    except NotFoundError:
        return ()
    try:
        found = json.loads(_turned(sealed, subject, request).rstrip(b"\0"))
    except ValueError:
        return ()
    return tuple(map(str, found)) if isinstance(found, list) else ()


def keep(store: ObjectStore, subject: Subject, request: str, names: Sequence[str]) -> None:
    """Seal the names where none are sealed yet. One key is used once, for one text."""
    body = json.dumps(list(names)).encode()
    store.put_new(names_key(request), _turned(body + bytes(-len(body) % _ROUND), subject, request))


def forget(store: ObjectStore, request: str) -> None:
    """Remove the sealed names."""
    if list(store.keys(names_key(request))):
        store.remove(names_key(request))


def _turned(body: bytes, subject: Subject, request: str) -> bytes:
    """Seal or open: XOR with a key as long as the body, made of the customer's id by scrypt (RFC 7914)."""
    salt = json.dumps([subject.tenant_id, request]).encode()
    pad = hashlib.scrypt(str(subject.customer_id).encode(), salt=salt, n=1 << 14, r=8, p=1, dklen=len(body))
    return bytes(left ^ right for left, right in zip(body, pad, strict=True))
