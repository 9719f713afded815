"""Files are dropped, refused, revalidated by newer contracts and promoted, in any order, and functions die anywhere.

Then each line of a file is once in Bronze or in the newest quarantine, Silver has each line of Bronze once, and a
revalidation changes no view of a moment before it.
"""

from __future__ import annotations

import os
from datetime import datetime
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from propensity.ingest.replay_quarantine import replay_quarantine
from propensity.ingest.validate_upload import validate_upload
from tests.kit.faults import Fuse
from tests.kit.replays import KINDS, RULES, Landed, Ports, Row, check, promote, put, run_dry

ROWS = st.lists(st.builds(Row, st.sampled_from("abcd"), st.integers(0, 3), st.integers(-3, 10)), min_size=1, max_size=6)
FUSE = st.none() | st.integers(0, 60)


class Replays(RuleBasedStateMachine):
    @initialize()
    def start(self) -> None:
        self.fuse = Fuse()
        self.ports: Any = Ports(self.fuse)
        self.landed: list[Landed] = []
        self.waiting: list[int] = []
        self.moments: list[datetime] = []

    @rule(dataset=st.sampled_from(sorted(KINDS)), name=st.sampled_from("12"), rows=ROWS, pieces=st.integers(0, 3))
    def put(self, dataset: str, name: str, rows: list[Row], pieces: int) -> None:
        self.waiting.append(len(self.landed))
        self.landed.append(put(self.ports, dataset, name, rows, pieces=pieces > 0))

    @rule(data=st.data(), fuse=FUSE)
    @precondition(lambda self: self.landed)
    def deliver(self, data: st.DataObject, fuse: int | None) -> None:
        number = data.draw(st.integers(0, len(self.landed) - 1))
        if self.fuse.spares(lambda: validate_upload(self.ports, self.landed[number].upload), fuse):
            self.waiting = [one for one in self.waiting if one != number]

    @rule(version=st.sampled_from(sorted(RULES)))
    def deploy(self, version: str) -> None:
        """Deploy any version; an older one is a deployment that was rolled back."""
        self.ports.deploy(version)

    @rule(dataset=st.sampled_from(sorted(KINDS)), limit=st.sampled_from([1, 200]), fuse=FUSE)
    def replay(self, dataset: str, limit: int, fuse: int | None) -> None:
        self.moments.append(self.ports.store.touch())
        self.fuse.spares(lambda: replay_quarantine(self.ports, dataset=dataset, limit=limit), fuse)

    @rule(data=st.data(), fuse=FUSE)
    @precondition(lambda self: self.ports.queue.messages)
    def promote(self, data: st.DataObject, fuse: int | None) -> None:
        numbers = data.draw(st.sets(st.integers(0, len(self.ports.queue.messages) - 1), min_size=1, max_size=4))
        self.fuse.spares(lambda: promote(self.ports, [self.ports.queue.messages[one] for one in sorted(numbers)]), fuse)

    def teardown(self) -> None:
        if not hasattr(self, "ports"):
            return
        for number in self.waiting:
            validate_upload(self.ports, self.landed[number].upload)
        run_dry(self.ports)
        check(self.ports, self.landed, self.moments)


Replays.TestCase.settings = settings(
    max_examples=int(os.environ.get("SOAK_EXAMPLES", "30")),
    stateful_step_count=14,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestReplays = Replays.TestCase
