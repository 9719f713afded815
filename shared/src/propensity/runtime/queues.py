"""The answers of functions that a queue feeds. An answer says which messages go back to the queue.

A message whose work raised an error goes back. When the message keeps failing, the queue's redrive policy sends it to
the dead-letter queue. No failure is passed over in silence. Powertools' BatchProcessor works record by record, but
promotion works on groups of records. So both ways are written in this module, by the same rule.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from propensity.kernel.errors import PropensityError
from propensity.runtime.logging import allowed, described, logger, told_safely


def answer_records(event: Mapping[str, Any], work: Callable[[dict[str, Any]], Mapping[str, Any]]) -> dict[str, Any]:
    """Read each record's body as JSON, and work on each record by itself."""
    return answer_groups(event, parse=lambda body: body, group=lambda body: id(body), work=lambda bodies: work(*bodies))


def answer_groups[T](
    event: Mapping[str, Any],
    *,
    parse: Callable[[dict[str, Any]], T],
    group: Callable[[T], object],
    work: Callable[[Sequence[T]], Mapping[str, Any]],
) -> dict[str, Any]:
    """Group the records, and work on each group at once.

    A group that fails is tried again record by record, so that one bad message takes no other message with it to the
    dead-letter queue.
    """
    failed: list[str] = []
    groups: dict[object, list[tuple[str, T]]] = {}
    for record in event["Records"]:
        try:
            parsed = parse(json.loads(record["body"]))
        except (ValueError, KeyError, TypeError, PropensityError) as error:
            _log(record["messageId"], error, record)
            failed.append(record["messageId"])
            continue
        groups.setdefault(group(parsed), []).append((record["messageId"], parsed))
    for members in groups.values():
        failed += _work(members, work, event["Records"])
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}


def _work[T](
    members: Sequence[tuple[str, T]], work: Callable[[Sequence[T]], Mapping[str, Any]], records: object
) -> list[str]:
    try:
        answer = work([value for _, value in members])
    except Exception as error:  # noqa: BLE001 - whatever it is, the message goes back and the queue decides
        if len(members) == 1:
            _log(members[0][0], error, records)
            return [members[0][0]]
        return [message_id for member in members for message_id in _work([member], work, records)]
    logger().info("worked", extra={"messages": len(members), "answered": allowed(answer)})
    return []


def _log(message_id: str, error: Exception, records: object) -> None:
    logger().error(str(told_safely(error, records)), extra={"message_id": message_id, **described(error)})
