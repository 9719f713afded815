"""Plans the replay of a registered version."""

from __future__ import annotations

from typing import Any

from propensity.release.replay_version import replay_version
from propensity.runtime import composition
from propensity.runtime.events import takes
from propensity.runtime.logging import logged


@logged
@takes(model="<model>", replay_of=1, request="again")
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    return replay_version(
        composition.ports(), model=event["model"], version=event["replay_of"], request=event["request"]
    )
