"""One definition, four ways to compute it: training, batch, gap-fill and on demand give the same bits."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from propensity.adapters.arro3_frames import Arro3Frames
from propensity.adapters.frames import ArrowFrames
from propensity.adapters.sklearn_trainer import SklearnTrainer
from propensity.lake.json_objects import dumps
from propensity.pack.current import pack_definition
from propensity.ports import Frames, Sample
from propensity.registry.versions import register
from propensity.serving.serve_scores import ScoreRequest, load_serving, serve_scores
from propensity.stats.calibration import identity
from tests.kit.drops import column, contract
from tests.kit.registries import crown
from tests.kit.world import World

DAY = date(2025, 7, 1)
HORIZON = 30
TENANT = "t1"

PACK = """
name: shop
description: A pack for tests.
entity: member
partition_key: tenant
buckets: 2
datasets: [orders, members]
models: [again]
"""
MODEL = f"""
name: again
hypothesis: h
owner: o
population:
  description: Everyone heard of.
  sql: select distinct tenant_id, member from orders union select distinct tenant_id, member from members
target: {{description: Bought., sql: "select distinct tenant_id, member from outcome.orders"}}
horizon_days: {HORIZON}
settle_days: 0
features: [habit, standing]
training: {{as_of_count: 2, every_days: 30}}
candidates: [{{family: hist_gradient_boosting}}]
"""
HABIT_SQL = """
with bought as (
    select *, date_diff('day', lag(day) over (partition by tenant_id, member order by day, order_id), day) as gap
    from orders
)
select tenant_id, member,
    date_diff('day', max(day), as_of()) / 7.0 as weeks_since,
    sum(amount) as spent,
    count(*) as orders,
    case when max(pieces) = 0 then 'nan'::double when max(pieces) = 1 then 'inf'::double else max(pieces) end as pieces,
    median(gap) as usual_gap
from bought group by tenant_id, member
"""
HABIT = """
group: habit
description: d
owner: shop-team
features:
  - {name: weeks_since, description: d, missing_indicator: true, monotonic: decreasing}
  - {name: spent, description: d, owner: finance}
  - {name: orders, dtype: integer, description: d, default: 0}
  - {name: pieces, description: d, missing_indicator: true, default: -1}
  - {name: usual_gap, description: d}
"""
STANDING_SQL = "select tenant_id, member, tier, tier as known_tier, tier = 'gold' as is_gold from members"
STANDING = """
group: standing
description: d
owner: shop-team
features:
  - {name: tier, dtype: category, categories: [gold, silver], description: d, missing_indicator: true}
  - {name: known_tier, dtype: category, categories: [silver, gold], default: gold, description: d}
  - {name: is_gold, dtype: boolean, description: d}
"""
RECORDED = {"column": "recorded"}
FILES = {
    "pack.yaml": PACK,
    "models/again.yaml": MODEL,
    "features/habit.sql": HABIT_SQL,
    "features/habit.yaml": HABIT,
    "features/standing.sql": STANDING_SQL,
    "features/standing.yaml": STANDING,
    "contracts/orders.yaml": contract(
        "orders",
        "event",
        column("order_id", primaryKey=True),
        column("member"),
        column("amount", "number"),
        column("pieces", "integer"),
        column("recorded", "date", required=True),
        knownAt=RECORDED,
    ),
    "contracts/members.yaml": contract(
        "members",
        "state",
        column("member", primaryKey=True),
        column("tier"),
        column("recorded", "date", required=True),
        knownAt=RECORDED,
    ),
}
HEADERS = {"orders": "order_id,member,amount,pieces,day,recorded", "members": "member,tier,day,recorded"}
ONNX_ROWS = 400

type Order = tuple[int, int, float | None, int]  # days before DAY, days until it was recorded, amount, pieces
type State = tuple[int, int, str | None]  # days before DAY, days until it was recorded, tier
type Bits = dict[str, bytes]  # by customer, the bytes of their row in the matrix


@dataclass(frozen=True)
class Person:
    """A person's orders and states. The rows of a `newcomer` land only after the batch."""

    orders: Sequence[Order]
    states: Sequence[State] = ()
    newcomer: bool = False


# on both sides of the cut: by when it happened, and by when it was known
DAYS, LAGS = st.integers(-3, 200), st.integers(0, 60)
AMOUNTS = st.none() | st.floats(0.01, 1e6, allow_nan=False)
PEOPLE = st.builds(
    Person,
    orders=st.lists(st.tuples(DAYS, LAGS, AMOUNTS, st.integers(0, 5)), max_size=4),
    states=st.lists(st.tuples(DAYS, LAGS, st.sampled_from(["gold", "silver", "tin", None])), max_size=2),
    newcomer=st.booleans(),
)
# these people are in every example
ALWAYS = (
    Person([(40, 0, 0.1, 2), (10, 0, 0.2, 0)], [(90, 0, "gold")]),
    Person([], [(5, 0, "tin")]),  # no order, and a tier that the YAML does not name
    Person([(8, 0, None, 1), (9, 20, 5.5, 4), (-1, 0, 7.0, 4)]),  # one order known late, and one after DAY
    Person([(3, 1, 3.3, 0)], [(60, 3, None), (2, 9, "silver")], newcomer=True),
    Person([(70, 1, 1e-3, 3), (3, 1, 3.3, 1)], newcomer=True),
)


@settings(max_examples=3, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(st.lists(PEOPLE, min_size=10, max_size=30))
def test_training_batch_gap_and_on_demand_compute_equal_bits(drawn: list[Person]) -> None:
    people = {f"m{number}": one for number, one in enumerate([*ALWAYS, *drawn])}
    early = {name for name, one in people.items() if not one.newcomer}
    with tempfile.TemporaryDirectory() as folder:
        world, whole = _world(Path(folder) / "a"), _world(Path(folder) / "b")
        _land(world, "early", {name: people[name] for name in early})
        batch = _scored(world, "batch")
        _land(world, "late", {name: people[name] for name in people.keys() - early})
        gap = _scored(world, "gap")
        _land(whole, "all", people)
        one_batch = _scored(whole, "batch")
        trained = world.prepare("again", str(DAY + timedelta(days=HORIZON)))["build_items"]
        training = _bits(world, trained, ArrowFrames())
        # the function that fits and the one that evaluates read it with different frames
        assert training == _bits(world, trained, Arro3Frames())
        assert training == one_batch == batch | gap == _on_demand(world, training)
    assert not batch.keys() & gap.keys()
    assert {"m0", "m1", "m2"} <= batch.keys() <= early
    assert {"m3", "m4"} <= gap.keys() <= people.keys() - early
    names = pack_definition(world, "again").feature_names
    found = {
        name: dict(zip(names, np.frombuffer(bits, np.float32).tolist(), strict=True)) for name, bits in training.items()
    }
    assert found["m0"]["spent"] == float(np.float32(0.1 + 0.2))
    # NaN is unknown, as NULL is; the default hides neither of them from the indicator
    assert (found["m0"]["pieces"], found["m0"]["pieces_missing"]) == (2, 0)
    assert (found["m2"]["pieces"], found["m2"]["pieces_missing"]) == (-1, 1)
    assert (found["m1"]["orders"], found["m1"]["weeks_since_missing"], found["m1"]["pieces_missing"]) == (0, 1, 1)
    assert np.isnan([found["m1"]["weeks_since"], found["m1"]["tier"], found["m2"]["spent"]]).all()
    assert (found["m1"]["tier_missing"], found["m1"]["known_tier"], found["m1"]["is_gold"]) == (1, 1, 0)
    assert (found["m0"]["tier"], found["m0"]["tier_missing"], found["m0"]["known_tier"]) == (0, 0, 1)
    # what was recorded after DAY is not known as of DAY
    assert found["m2"]["orders"] == 1


def _world(folder: Path) -> World:
    """A world of the pack above with a champion. Only the champion's features matter here, not its scores."""
    world = World("automotive", folder)
    world.pack, world.pack_files = "shop", FILES
    definition = pack_definition(world, "again")
    names = definition.feature_names
    chance = np.random.default_rng(7)
    matrix = chance.normal(size=(ONNX_ROWS, len(names))).astype(np.float32)
    labels = (matrix[:, 0] < chance.normal(size=ONNX_ROWS)).astype(np.int8)
    fitted = SklearnTrainer().fit(
        "hist_gradient_boosting", {"max_iter": 3}, Sample(matrix, labels), seed=7, directions=definition.directions
    )
    files = {
        "model.onnx": fitted.onnx(),
        "explanation.json": dumps(fitted.explanation()),
        "calibration.json": dumps(identity().to_json()),
        "reference.json": dumps({"base_rate": 0.5}),
        **{f"definition/{path}": text.encode() for path, text in definition.files().items()},
    }
    lineage = {"run": "r", "model": "again", "as_of": str(DAY), "feature_set": definition.feature_set, "silver": {}}
    number = register(world.lake, "again", files, lineage).number
    crown(world.lake, "again", number)
    return world


def _land(world: World, name: str, people: dict[str, Person]) -> None:
    lines: dict[str, list[str]] = {dataset: [header] for dataset, header in HEADERS.items()}
    for member, person in people.items():
        for number, (ago, lag, amount, pieces) in enumerate(person.orders):
            said = "" if amount is None else repr(amount)
            lines["orders"].append(f"{member}-{number},{member},{said},{pieces},{_days(ago, lag)}")
        lines["members"] += [f"{member},{tier or ''},{_days(ago, lag)}" for ago, lag, tier in person.states]
    for dataset, rows in lines.items():
        if len(rows) > 1:
            body = "".join(f"{row}\n" for row in rows).encode()
            assert world.put(f"{dataset}/tenant_id={TENANT}/{name}.csv", body)["quarantine"] == 0
    world.promote()


def _days(ago: int, lag: int) -> str:
    day = DAY - timedelta(days=ago)
    return f"{day},{day + timedelta(days=lag)}"


def _scored(world: World, scope: str) -> Bits:
    """Score, commit and publish; the bits of the run."""
    run = world.score("again", str(DAY), scope)["run"]
    return _bits(world, f"{run}/items.json", ArrowFrames())


def _bits(world: World, items: str, frames: Frames) -> Bits:
    """The rows of DAY in the files of these items, as functions with these frames read them."""
    names = pack_definition(world, "again").feature_names
    found: Bits = {}
    for item in world.items(items):
        path = world.folder / json.loads(world.lake.get(item))["out"]
        columns = frames.read(path, ["customer_id", "as_of"])
        rows = zip(columns["customer_id"], columns["as_of"].astype(str), frames.matrix(path, names), strict=True)
        found |= {member: row.tobytes() for member, day, row in rows if day == str(DAY)}
    return found


class _Recorder:
    """A model that keeps each matrix that it is given."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.asked: list[Any] = []

    def predict(self, matrix: Any) -> Any:
        self.asked.append(matrix.copy())
        return self._model.predict(matrix)


def _on_demand(world: World, members: Iterable[str]) -> Bits:
    """The bits that the model is given where the API is asked for these customers."""
    load = world.scorer
    recorders: list[_Recorder] = []

    def recording(onnx: bytes) -> Any:
        recorders.append(_Recorder(load(onnx)))
        return recorders[-1]

    world.scorer = recording  # type: ignore[method-assign]
    request = ScoreRequest("again", TENANT, tuple(members))
    serving = load_serving(world, "again", 1)
    answers = serve_scores(world, serving, request, request_id="r", at=f"{DAY}T00:00:00Z")["scores"]
    assert {(one["source"], one["as_of"]) for one in answers} == {("champion", str(DAY))}
    [recorder] = recorders
    [matrix] = recorder.asked
    return {member: row.tobytes() for member, row in zip(request.customer_ids, matrix, strict=True)}
