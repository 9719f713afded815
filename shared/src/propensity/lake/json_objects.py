"""Small JSON objects in the lake. Equal content gives equal bytes, and an object that was claimed stays."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from propensity.kernel.errors import ConflictError, NotFoundError
from propensity.kernel.spec import Record
from propensity.lake.domain.run_names import plan_key
from propensity.ports import ObjectReader, ObjectStore


def dumps(value: object) -> bytes:
    """JSON with sorted keys, so that equal content gives equal bytes. A record is written as its fields."""
    return json.dumps(
        value.to_json() if isinstance(value, Record) else value, sort_keys=True, ensure_ascii=False, indent=1
    ).encode()


def read_json(store: ObjectReader, key: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(store.get(key))
    return value


def find_json(store: ObjectReader, key: str) -> dict[str, Any] | None:
    """The JSON under a key. None where there is nothing under the key."""
    try:
        return read_json(store, key)
    except NotFoundError:
        return None


def read_record[R: Record](store: ObjectReader, key: str, kind: type[R]) -> R:
    """Read a record. Raises ConflictError for an object that is no such record.

    The error names fields, never their values.
    """
    return parse_record(store.get(key), key, kind)


def parse_record[R: Record](written: bytes | Mapping[str, Any], key: str, kind: type[R]) -> R:
    """Parse the content of an object as a record. Raises as `read_record`."""
    try:
        return kind.model_validate_json(written) if isinstance(written, bytes) else kind.model_validate(written)
    except ValidationError as error:
        fields = ", ".join(sorted({".".join(map(str, fault["loc"])) or "the whole" for fault in error.errors()}))
        raise ConflictError(
            f"{key}: no {kind.__name__} as this package writes it, wrong in {fields}; restore the object"
        ) from None


def find_record[R: Record](store: ObjectReader, key: str, kind: type[R]) -> R | None:
    """The record under a key. None where there is nothing under the key. Raises the errors of `read_record`."""
    try:
        return read_record(store, key, kind)
    except NotFoundError:
        return None


def write_once(store: ObjectStore, key: str, body: bytes) -> bytes:
    """Put an object, unless an earlier run of the same step did. Returns the object that is then under the key."""
    return body if store.put_new(key, body) else store.get(key)


def claim(store: ObjectStore, key: str, body: bytes) -> None:
    """Put an object, or find an equal object under the key.

    Raises ConflictError for other content under the key, because two different runs then share a name.
    """
    if write_once(store, key, body) != body:
        raise ConflictError(f"{key}: there already with other content; a run's inputs must not change under its name")


def is_planned(store: ObjectReader, run: str) -> bool:
    """Whether a run has its plan. A run has no plan before it is planned, and after the plan expired."""
    return any(True for _ in store.keys(plan_key(run)))
