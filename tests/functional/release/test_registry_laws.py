"""Laws of the registry: versions stay as written, and all lines of a ledger have one order."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propensity.adapters.s3_store import S3Store
from propensity.kernel.errors import BadInputError, ConflictError, ForbiddenError, NotFoundError, PropensityError
from propensity.pack.domain.model_spec import Policy
from propensity.ports import ObjectStore
from propensity.registry.domain.ledger import CHAMPION, way_back
from propensity.registry.domain.ledger import LedgerLine as Line
from propensity.registry.domain.ledger import model_standing as standing
from propensity.registry.versions import champion_number, load_champion, load_version, register, version_numbers
from propensity.registry.versions import read_ledger as ledger
from propensity.release.manage_registry import approve, list_versions, promote, roll_back
from tests.fakes.folder_store import FolderStore
from tests.fakes.memory import MemoryStore
from tests.kit.registries import APPROVERS, AT, BUSINESS, MODEL, TECHNICAL, open_registry, signed

SAID: dict[str, Any] = {"why": "test", "at": AT}


def registered(store: ObjectStore, run: str) -> int:
    return register(store, "m", {"model.onnx": run.encode()}, {"run": run, "feature_set": run}).number


def test_a_run_has_one_version_however_often_it_registers() -> None:
    store = MemoryStore()
    assert [registered(store, run) for run in ("a", "b", "a", "b")] == [1, 2, 1, 2]
    assert load_version(store, "m", 1).onnx(store) == b"a"


def test_runs_that_register_at_once_get_a_number_each() -> None:
    store = MemoryStore()
    runs = [f"run-{number % 12}" for number in range(36)]
    with ThreadPoolExecutor(12) as pool:
        numbers = list(pool.map(lambda run: registered(store, run), runs))
    assert sorted(set(numbers)) == list(range(1, 13))
    assert len(set(zip(runs, numbers, strict=True))) == 12
    assert version_numbers(store, "m") == list(range(1, 13))


def test_a_version_without_its_seal_is_not_there() -> None:
    store = MemoryStore()
    store.put("registry/m/versions/000001/model.onnx", b"half")
    assert version_numbers(store, "m") == []
    with pytest.raises(NotFoundError, match="no version 1; there are none"):
        load_version(store, "m", 1)
    with pytest.raises(NotFoundError, match="no champion; train it"):
        load_champion(store, "m")


def test_asking_for_a_version_that_is_not_there_adds_nothing() -> None:
    registry = open_registry()
    registry.register(1)
    with pytest.raises(NotFoundError, match="no version 7; there are 1"):
        promote(registry, MODEL, 7, by=TECHNICAL, **SAID, approvers=APPROVERS)
    assert len(ledger(registry.lake, MODEL)) == 1
    assert json.loads(registry.lake.get(f"registry/{MODEL}/claims/000001.json"))["run"].startswith("runs/train")


def test_a_ledger_from_before_actions_roles_and_gates_reads_as_it_did() -> None:
    store = MemoryStore()
    for number, (version, previous) in enumerate([(1, None), (2, 1), (1, 2)], start=1):
        said = {"number": number, "alias": CHAMPION, "version": version, "previous": previous}
        body = json.dumps({**said, "by": "anna", "why": "w", "at": "2025-07-01"}).encode()
        store.put(f"registry/m/ledger/{number:06d}.json", body)
    found = standing(ledger(store, "m"))
    assert (found.champion, found.stage(2), way_back(found, "m")) == (1, "archived", 2)
    assert champion_number(store, "m") == 1


# Which act may follow which ------------------------------------------------------------------------------

# few of each, so that the same ones meet
PEOPLE, ROLES = ("anna", "bert"), {"Scientist": "technical", "Owner": "business", "Intern": None}
Act = tuple[Any, ...]
APPROVAL = st.tuples(st.just("approve"), st.integers(1, 3), st.sampled_from(PEOPLE), st.sampled_from(list(ROLES)))
BOTH = st.builds(
    lambda version, one, other: [("approve", version, one, "Scientist"), ("approve", version, other, "Owner")],
    st.integers(1, 2),
    st.sampled_from(PEOPLE),
    st.sampled_from(PEOPLE),
)
OTHERS = st.one_of(
    st.tuples(st.just("register"), st.booleans(), st.sampled_from([True, True, True, False])),
    APPROVAL,
    st.tuples(st.just("promote"), st.integers(1, 3), st.sampled_from(PEOPLE)),
    st.tuples(st.just("roll_back"), st.none() | st.integers(1, 3)),
)
# two approvals in a row more often than chance alone would give
ACTS = st.lists(BOTH | OTHERS.map(lambda one: [one]), min_size=1, max_size=12).map(
    lambda scenes: [("register", True, True), *(one for scene in scenes for one in scene)]
)


@dataclass
class Reference:
    """The rules once more, as plainly as possible. Each act answers `done`, `same` (nothing new) or `refused`."""

    policy: Policy
    good: dict[int, bool] = field(default_factory=dict)
    loads: dict[int, bool] = field(default_factory=dict)
    champions: list[int] = field(default_factory=list)  # all of them, in the order of time
    back: list[int] = field(default_factory=list)
    staged: int | None = None
    displaced: set[int] = field(default_factory=set)
    given: dict[int, dict[str, str]] = field(default_factory=dict)

    @property
    def champion(self) -> int | None:
        return self.champions[-1] if self.champions else None

    def stage(self, version: int) -> str:
        if version == self.champion:
            return "production"
        if version == self.staged:
            return "staging"
        return "archived" if version in self.champions or version in self.displaced else "candidate"

    def register(self, good: bool, loads: bool) -> str:
        number = len(self.good) + 1
        self.good[number], self.loads[number] = good, loads
        if good and self.policy == "automatic":
            self._crown(number)
        elif good:
            if self.staged:
                self.displaced.add(self.staged)
                self.given.pop(self.staged, None)
            self.staged = number
        return "done"

    def approve(self, version: int, person: str, role_name: str) -> str:
        role, given = ROLES[role_name], self.given.get(version, {})
        if role is None or version not in self.good:
            return "refused"
        if given.get(role) == person:
            return "same" if self.loads[version] else "refused"
        if version == self.champion or role in given or person in given.values() or not self.loads[version]:
            return "refused"
        self.given[version] = {**given, role: person}
        if given:
            self._crown(version)
        return "done"

    def promote(self, version: int, person: str) -> str:
        if version not in self.good or not self.loads[version]:
            return "refused"
        if version == self.champion:
            return "same"
        if self.policy == "two_approvals" or not self.good[version]:
            return "refused"
        self._crown(version)
        return "done"

    def roll_back(self, version: int | None) -> str:
        if version is None:
            if len(self.back) < 2:
                return "refused"
            version = self.back[-2]
        if version not in self.champions or not self.loads[version]:
            return "refused"
        if version == self.champion:
            return "same"
        back = self.back[: self.back.index(version) + 1] if version in self.back else [*self.back, version]
        self._crown(version)
        self.back = back
        return "done"

    def _crown(self, version: int) -> None:
        if self.champion:
            self.given.pop(self.champion, None)
        if self.staged == version:
            self.staged = None
        self.champions.append(version)
        self.back = [one for one in self.back if one != version] + [version]


def act(registry: Any, doing: Act, day: int) -> None:
    match doing:
        case ("register", good, loads):
            # damaged only after it was registered: for its gates a model must have been loaded
            made = registry.register(day, good=good)
            if not loads:
                registry.lake.put(f"registry/{MODEL}/versions/{made['version']:06d}/model.onnx", b"damaged")
        case ("approve", version, person, role):
            approve(registry, MODEL, version, by=signed(role, person), **SAID, approvers=APPROVERS)
        case ("promote", version, person):
            promote(registry, MODEL, version, by=signed("Scientist", person), **SAID, approvers=APPROVERS)
        case ("roll_back", version):
            seen = champion_number(registry.lake, MODEL) or 1 if version is None else None
            roll_back(registry, MODEL, by=TECHNICAL, **SAID, version=version, from_version=seen)


@pytest.mark.parametrize("policy", ["automatic", "two_approvals"])
@settings(max_examples=40, deadline=None)
@given(acts=ACTS)
def test_whatever_is_done_in_whatever_order_the_ledger_says_what_the_rules_say(policy: Policy, acts: list[Act]) -> None:
    registry, reference = open_registry(policy), Reference(policy)
    for day, doing in enumerate(acts):
        before = len(ledger(registry.lake, MODEL))
        refused = False
        try:
            act(registry, doing, day)
        except (ConflictError, ForbiddenError, NotFoundError):
            refused = True
        expected = getattr(reference, doing[0])(*doing[1:])
        lines = ledger(registry.lake, MODEL)
        assert refused == (expected == "refused"), doing
        staged_or_crowned = doing[0] != "register" or doing[1]
        assert len(lines) - before == (1 if expected == "done" and staged_or_crowned else 0), doing
        holds(registry, reference, lines)


def holds(registry: Any, reference: Reference, lines: list[Line]) -> None:
    assert [line.number for line in lines] == list(range(1, len(lines) + 1))
    found = standing(lines)
    assert found.champion == champion_number(registry.lake, MODEL) == reference.champion
    assert [line.version for line in lines if line.alias == CHAMPION] == reference.champions
    for version in reference.good:
        assert found.stage(version) == reference.stage(version)
    crowned = [line for line in lines if line.alias == CHAMPION]
    for line, before in zip(crowned, [None, *crowned], strict=False):
        assert line.version in version_numbers(registry.lake, MODEL)
        assert line.previous == (before.version if before else None)
        assert line.gates is not None
        if line.action == "roll_back":
            assert line.version in {one.version for one in crowned if one.number < line.number}
        elif reference.policy == "two_approvals" or line.gates.failed:
            # two people in two roles approved this version
            first = [one for one in lines if one.action == "approve" and one.version == line.version]
            by = {(one.role, one.by.rsplit("/", 1)[1]) for one in first if one.number <= line.number}
            assert {role for role, _ in by} == {"technical", "business"}
            assert len({person for _, person in by}) >= 2


# At the same moment ----------------------------------------------------------------------------------------


class Meeting:
    """A store in which the writers to a ledger wait for each other, so that all decide on the same lines."""

    def __init__(self, store: ObjectStore, parties: int) -> None:
        self._store = store
        self._barrier = threading.Barrier(parties, timeout=20)
        self._met = threading.local()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def put_new(self, key: str, body: bytes) -> bool:
        if "/ledger/" in key and not getattr(self._met, "once", False):
            self._met.once = True
            self._barrier.wait()
        return self._store.put_new(key, body)


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectStore]:
    if request.param == "folder":
        yield FolderStore(tmp_path)
    else:
        request.getfixturevalue("moto")
        client = boto3.client("s3")
        client.create_bucket(Bucket="bucket")
        yield S3Store(client, "bucket")


def at_once(registry: Any, works: Sequence[Callable[[], object]]) -> list[object]:
    """What each act answers or raises, where all of them read the ledger before one of them writes."""
    calm, registry.lake = registry.lake, Meeting(registry.lake, len(works))

    def tried(work: Callable[[], object]) -> object:
        try:
            return work()
        except PropensityError as error:
            return error

    with ThreadPoolExecutor(len(works)) as pool:
        answers = list(pool.map(tried, works))
    registry.lake = calm
    return answers


def test_two_approvals_at_the_same_moment_promote_once(store: ObjectStore) -> None:
    registry = open_registry("two_approvals", lake=store)
    assert registry.register(1)["staged"]
    give = partial(approve, registry, MODEL, 1, **SAID, approvers=APPROVERS)
    at_once(registry, [partial(give, by=TECHNICAL), partial(give, by=BUSINESS)])
    staged, first, second = ledger(store, MODEL)
    assert (staged.alias, first.alias, second.alias) == ("staging", None, "champion")
    assert {first.role, second.role} == {"technical", "business"}
    assert champion_number(store, MODEL) == 1


def test_one_role_twice_at_the_same_moment_is_one_approval(store: ObjectStore) -> None:
    registry = open_registry("two_approvals", lake=store)
    registry.register(1)
    give = partial(approve, registry, MODEL, 1, **SAID, approvers=APPROVERS)
    one, other = at_once(registry, [partial(give, by=TECHNICAL), partial(give, by=signed("Scientist", "carl"))])
    assert sum(isinstance(answer, ConflictError) for answer in (one, other)) == 1
    assert [line.action for line in ledger(store, MODEL)] == ["stage", "approve"]
    assert champion_number(store, MODEL) is None


def test_promotions_at_the_same_moment_get_one_order_and_no_line_is_lost(store: ObjectStore) -> None:
    registry = open_registry(lake=store)
    for day in (1, 2, 3):
        registry.register(day)
    asked = [partial(promote, registry, MODEL, one, by=TECHNICAL, **SAID, approvers=APPROVERS) for one in (1, 2)]
    answers = at_once(registry, asked)
    lines = ledger(store, MODEL)
    assert [line.number for line in lines] == [1, 2, 3, 4, 5]
    assert sorted(line.version for line in lines[3:]) == [1, 2]
    assert [line.previous for line in lines] == [None, *(line.version for line in lines[:-1])]
    assert sorted(answer["number"] for answer in answers if isinstance(answer, dict)) == [4, 5]


def test_two_rollbacks_at_the_same_moment_go_back_once(store: ObjectStore) -> None:
    registry = open_registry(lake=store)
    for day in (1, 2, 3):
        registry.register(day)
    back = partial(roll_back, registry, MODEL, by=TECHNICAL, **SAID, from_version=3)
    one, other = at_once(registry, [back, back])
    assert one == other
    assert champion_number(store, MODEL) == 2
    assert len(ledger(store, MODEL)) == 4


class Overtaken:
    """A store in which another act comes once between a decision on a ledger and the line of it."""

    def __init__(self, store: ObjectStore, other: Callable[[], object]) -> None:
        self._store = store
        self._others = [other]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def put_new(self, key: str, body: bytes) -> bool:
        if "/ledger/" in key and self._others:
            self._others.pop()()
        return self._store.put_new(key, body)


def test_a_rollback_that_a_promotion_overtook_changes_nothing(store: ObjectStore) -> None:
    registry, other = open_registry(lake=store), open_registry(lake=store)
    for day in (1, 2, 3):
        registry.register(day)
    forth = partial(promote, other, MODEL, 1, by=BUSINESS, **SAID, approvers=APPROVERS)
    registry.lake = Overtaken(store, forth)
    with pytest.raises(ConflictError, match="the champion is version 1 by now, and was 3"):
        roll_back(registry, MODEL, by=TECHNICAL, **SAID, from_version=3)
    assert [line.version for line in ledger(store, MODEL)] == [1, 2, 3, 1]


def test_a_training_run_that_comes_again_takes_nothing_back() -> None:
    registry = open_registry()
    registry.register(1)
    registry.register(2)
    roll_back(registry, MODEL, by=TECHNICAL, **SAID, from_version=2)
    assert registry.register(2)["promoted"]
    assert champion_number(registry.lake, MODEL) == 1
    assert [one["stage"] for one in list_versions(registry, MODEL)["versions"]] == ["production", "archived"]


def test_a_version_that_was_not_held_against_the_present_champion_waits_for_people() -> None:
    registry = open_registry()
    registry.register(1)
    registry.plan(2)
    assert registry.register(3)["promoted"]
    found = registry.register(2)
    assert (found["promoted"], found["staged"]) == (False, True)
    assert champion_number(registry.lake, MODEL) == 2
    assert "held against version 1; version 2 has become champion since" in ledger(registry.lake, MODEL)[-1].why


def test_rolling_back_twice_goes_further_back_and_not_to_what_was_rolled_back_from() -> None:
    registry = open_registry()
    for day in (1, 2, 3):
        registry.register(day)
    back = partial(roll_back, registry, MODEL, by=TECHNICAL, **SAID)
    assert [back(from_version=3)["version"], back(from_version=2)["version"]] == [2, 1]
    with pytest.raises(NotFoundError, match="has held no version before that is not rolled back from"):
        back(from_version=1)
    assert back(version=3)["version"] == 3
    assert back(from_version=3)["version"] == 1


def test_a_rollback_that_is_sent_twice_goes_back_once() -> None:
    registry = open_registry()
    for day in (1, 2, 3):
        registry.register(day)
    back = partial(roll_back, registry, MODEL, by=TECHNICAL, **SAID)
    first = back(from_version=3)
    assert back(from_version=3) == first
    # a colleague who saw the same bad list goes back no further either
    assert roll_back(registry, MODEL, by=BUSINESS, why="bad list", at=AT, from_version=3) == first
    assert [line.version for line in ledger(registry.lake, MODEL)] == [1, 2, 3, 2]
    with pytest.raises(BadInputError, match="from_version: expected the number of the present champion"):
        back()
    with pytest.raises(ConflictError, match="version 2 is champion, and not 1, which from_version names"):
        back(from_version=1)
    with pytest.raises(ConflictError, match="version 2 is champion, and not 1"):
        back(from_version=1, version=3)
    promote(registry, MODEL, 1, by=TECHNICAL, **SAID, approvers=APPROVERS)
    with pytest.raises(ConflictError, match="version 1 is champion, and not 3"):
        back(from_version=3)
    assert [line.version for line in ledger(registry.lake, MODEL)] == [1, 2, 3, 2, 1]
