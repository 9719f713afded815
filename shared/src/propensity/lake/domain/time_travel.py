"""The Silver that a reader sees: the newest, the Silver of an earlier time, or versions of its tables by number."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from propensity.kernel.errors import BadInputError


@dataclass(frozen=True, slots=True)
class SilverAt:
    """A choice of Silver: by a time with its zone or by a version per dataset, never by both. Neither means the newest.

    `retracted` holds, per dataset, the files that a plan knew to be taken back, each as (content_id, instant). None
    means the files that are taken back by now.
    """

    as_of_time: datetime | None = None
    versions: Mapping[str, int] | None = None
    retracted: Mapping[str, Sequence[Sequence[str]]] | None = None

    @staticmethod
    def of_plan(plan: Mapping[str, Any]) -> SilverAt:
        """The Silver that a plan, or a version's lineage, pinned."""
        return SilverAt(versions=plan["silver"], retracted=plan.get("retracted", {}))

    @staticmethod
    def parse(event: Mapping[str, Any]) -> SilverAt:
        """Parse an event's `silver_as_of_time` (RFC 3339) or `silver_versions` ({dataset: version}).

        Raises BadInputError naming the field.
        """
        moment, versions = event.get("silver_as_of_time"), event.get("silver_versions")
        if moment is not None and versions is not None:
            raise BadInputError("silver_as_of_time and silver_versions: both are given, expected at most one")
        if versions is not None:
            return SilverAt(versions=_versions(versions))
        return SilverAt(as_of_time=None if moment is None else _moment(moment))

    def said(self) -> dict[str, Any] | None:
        """The event's own fields, as a plan and a lineage record them. None for the newest Silver."""
        if self.as_of_time is not None:
            return {"silver_as_of_time": self.as_of_time.isoformat()}
        return None if self.versions is None else {"silver_versions": dict(self.versions)}

    def name(self) -> str | None:
        """The name `silver-` and 12 hex digits, which keeps runs over this Silver apart from other runs of their day.

        The newest Silver has the name None.
        """
        fields = self.said()
        if fields is None:
            return None
        return f"silver-{hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:12]}"


def _moment(value: object) -> datetime:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise BadInputError(f"silver_as_of_time is {value!r}, expected a time with its zone, as 2025-07-01T00:00:00Z")
    return moment


def _versions(value: object) -> dict[str, int]:
    if (
        not isinstance(value, Mapping)
        or not value
        or not all(isinstance(name, str) and type(number) is int and number >= 0 for name, number in value.items())
    ):
        raise BadInputError(f"silver_versions is {value!r}, expected a version from 0 per dataset, as {{'d': 12}}")
    return dict(value)
