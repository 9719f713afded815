"""The OnlineTable port over DynamoDB. The key is tenant#customer, and the sort key is model#version.

Only an item's key says whose score the item is, because every write pays for each further attribute.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from math import nan
from typing import Any

from propensity.kernel.errors import RetryableError
from propensity.kernel.tenant import MAX_CUSTOMER_ID
from propensity.ports import OnlineScore

_WRITE_BATCH = 25  # BatchWriteItem's limit
_READ_BATCH = 100  # BatchGetItem's limit
_ROUNDS = 8


class DynamoOnline:
    def __init__(self, client: Any, table: str) -> None:
        self._client = client
        self._table = table

    def put_many(self, scores: Sequence[OnlineScore]) -> None:
        kept = [score for score in scores if _fits(score.customer_id)]
        self._write([{"PutRequest": {"Item": _item(score)}} for score in self._newer(kept)])

    def get_many(self, tenant_id: str, customer_ids: Sequence[str], model: str, version: int) -> list[OnlineScore]:
        keys = [_key(tenant_id, customer, model, version) for customer in filter(_fits, dict.fromkeys(customer_ids))]
        return [_score(item) for item in self._read(keys)]

    def newest(self, tenant_id: str, customer_ids: Sequence[str], model: str) -> list[OnlineScore]:
        found = []
        for customer in filter(_fits, dict.fromkeys(customer_ids)):
            values = {":p": {"S": _place(tenant_id, customer)}, ":m": {"S": f"{model}#"}}
            answer = self._client.query(
                TableName=self._table,
                KeyConditionExpression="pk = :p and begins_with(sk, :m)",
                ExpressionAttributeValues=values,
                ScanIndexForward=False,
                Limit=1,
            )
            found += [_score(item) for item in answer["Items"]]
        return found

    def remove(self, tenant_id: str, customer_ids: Sequence[str] | None) -> int:
        wanted: list[tuple[str, dict[str, Any]]] = []
        if customer_ids is None:
            # only a scan, which reads the whole table, finds all keys of a tenant
            wanted = [
                (
                    "scan",
                    {
                        "FilterExpression": "begins_with(pk, :t)",
                        "ExpressionAttributeValues": {":t": {"S": _place(tenant_id, "")}},
                    },
                )
            ]
        for customer in filter(_fits, dict.fromkeys(customer_ids or ())):
            place = {":p": {"S": _place(tenant_id, customer)}}
            wanted.append(("query", {"KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": place}))
        keys = [
            {"pk": item["pk"], "sk": item["sk"]}
            for operation, asked in wanted
            for page in self._client.get_paginator(operation).paginate(
                TableName=self._table, ProjectionExpression="pk, sk", ConsistentRead=True, **asked
            )
            for item in page["Items"]
        ]
        self._write([{"DeleteRequest": {"Key": key}} for key in keys])
        return len(keys)

    def _write(self, requests: Sequence[dict[str, Any]]) -> None:
        for batch in _batches(requests, _WRITE_BATCH):
            pending: dict[str, Any] = {self._table: list(batch)}
            for _ in range(_ROUNDS):
                pending = self._client.batch_write_item(RequestItems=pending).get("UnprocessedItems") or {}
                if not pending:
                    break
            else:
                raise RetryableError(f"table {self._table}: writes stay throttled; try again")

    def _newer(self, scores: Sequence[OnlineScore]) -> list[OnlineScore]:
        """The scores whose as_of is not before that of the score in the table.

        The table is read first and written later, so two publishers of one model at the same instant could overwrite
        each other. This does not happen, because a run and slot has one workflow execution.
        """
        keys = [_key(score.tenant_id, score.customer_id, score.model, score.version) for score in scores]
        stored = {
            (item["pk"]["S"], item["sk"]["S"]): item["as_of"]["S"]
            for item in self._read(keys, ProjectionExpression="pk, sk, as_of")
        }
        return [
            score
            for score, key in zip(scores, keys, strict=True)
            if stored.get((key["pk"]["S"], key["sk"]["S"]), "") <= score.as_of
        ]

    def _read(self, keys: Sequence[dict[str, Any]], **options: str) -> Iterator[dict[str, Any]]:
        for batch in _batches(keys, _READ_BATCH):
            pending: dict[str, Any] = {self._table: {"Keys": list(batch), **options}}
            for _ in range(_ROUNDS):
                answer = self._client.batch_get_item(RequestItems=pending)
                yield from answer["Responses"].get(self._table, [])
                pending = answer.get("UnprocessedKeys") or {}
                if not pending:
                    break
            else:
                raise RetryableError(f"table {self._table}: reads stay throttled; try again")


def _batches[T](values: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]


def _fits(customer_id: str) -> bool:
    return len(customer_id.encode()) <= MAX_CUSTOMER_ID


def _place(tenant_id: str, customer_id: str) -> str:
    # the length of the tenant's name stands first, so that no two pairs of tenant and customer share a key
    return f"{len(tenant_id)}:{tenant_id}#{customer_id}"


def _key(tenant_id: str, customer_id: str, model: str, version: int) -> dict[str, dict[str, str]]:
    return {
        "pk": {"S": _place(tenant_id, customer_id)},
        "sk": {"S": f"{model}#{version:06d}"},
    }


def _item(score: OnlineScore) -> dict[str, Any]:
    maybe: dict[str, tuple[str, object]] = {
        "percentile": ("N", score.percentile),
        "decile": ("N", score.decile),
        "unranked_reason": ("S", score.unranked_reason),
        "calibration": ("N", score.calibration),
    }
    return {
        **_key(score.tenant_id, score.customer_id, score.model, score.version),
        "score": {"N": repr(score.score)},
        **{name: {kind: str(value)} for name, (kind, value) in maybe.items() if value is not None},
        "as_of": {"S": score.as_of},
        "run": {"S": score.run},
        "feature_set": {"S": score.feature_set},
        "vector": {"B": score.vector},
        "reasons": {"S": json.dumps(score.reasons, ensure_ascii=False)},
    }


def _score(item: dict[str, Any]) -> OnlineScore:
    length, _, place = item["pk"]["S"].partition(":")
    model, _, version = item["sk"]["S"].rpartition("#")
    key: dict[str, Any] = {
        "tenant_id": place[: int(length)],
        "customer_id": place[int(length) + 1 :],
        "model": model,
        "version": int(version),
    }
    try:
        return OnlineScore(
            **key,
            score=float(item["score"]["N"]),
            percentile=_whole(item, "percentile"),
            decile=_whole(item, "decile"),
            as_of=item["as_of"]["S"],
            run=item["run"]["S"],
            feature_set=item["feature_set"]["S"],
            vector=bytes(item["vector"]["B"]),
            reasons=tuple(json.loads(item["reasons"]["S"])),
            unranked_reason=item["unranked_reason"]["S"] if "unranked_reason" in item else None,
            calibration=_whole(item, "calibration"),
        )
    except (KeyError, TypeError, ValueError):
        return OnlineScore(
            **key, score=nan, percentile=None, decile=None, as_of="", run="", feature_set="", vector=b"", reasons=()
        )


def _whole(item: dict[str, Any], name: str) -> int | None:
    return int(item[name]["N"]) if name in item else None
