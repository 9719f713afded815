"""A lake whose model is small, its champion, and a backtest of it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kit.backtests import backtested
from tests.kit.planted import simple
from tests.kit.world import World
from tests.stack.automotive import AS_OF, generate

DAY = AS_OF.isoformat()


def small(world: World) -> World:
    """The model `service` with one candidate, a part of its features and no ladder, and with money."""
    with world.with_dates(4).edited("models/service.yaml") as model:
        del model["ladder"]
        model["features"] = ["service_history", "relation"]
    return simple(world, value={"per_conversion": 100, "cost_per_contact": 2, "currency": "EUR"})


@pytest.fixture(scope="session")
def plain(history: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The dealers' history, and nothing trained."""
    return small(history.copy(tmp_path_factory.mktemp("plain")))


@pytest.fixture(scope="session")
def champion(plain: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """`plain` with a champion and its batch."""
    world = plain.copy(tmp_path_factory.mktemp("champion"))
    assert world.train("service", DAY)["promoted"]
    world.score("service", DAY)
    return world


@pytest.fixture(scope="session")
def tested(champion: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[World, dict[str, Any]]:
    """`champion` with a backtest of two origins, and the answer to it."""
    world = champion.copy(tmp_path_factory.mktemp("tested"))
    return world, backtested(world, "service", as_of=DAY, origins=2)


@pytest.fixture(scope="session")
def no_signal(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Dealers whose customers come in whatever one knows of them."""
    folder = tmp_path_factory.mktemp("no_signal")
    made = generate(folder / "files", dealers=2, customers=1_200, alike=True, no_effect=True)
    world = World("automotive", folder / "lake", rows_per_item=4_000)
    world.load(made.phases["history"])
    return small(world)
