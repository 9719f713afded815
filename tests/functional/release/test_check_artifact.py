"""A version's ladder is part of its artifact: its files are recorded, checked against the record, and must score."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import yaml

from propensity.kernel.errors import ConflictError
from propensity.lake.json_objects import dumps, read_json
from propensity.registry.artifact import load_artifact
from propensity.registry.versions import champion_number, load_version
from propensity.release.manage_registry import roll_back
from tests.kit.registries import MODEL, TECHNICAL, open_registry

SEGMENT, OWN = "ladder/segment-01", "ladder/tenant_id=odd"
FIRST, RUN = f"registry/{MODEL}/versions/000001", f"runs/train/{MODEL}/2026-0001"
CALIBRATION = {"method": "none", "raw_logit": [0, 1], "calibrated_logit": [0, 1], "rows": 1, "positives": 1}
PLACES = {
    "north": {"rung": "segment", "model": SEGMENT, "intercept": 0.0, "rate": None},
    "odd": {"rung": "own", "model": OWN, "intercept": 0.0, "rate": None},
}


@pytest.fixture
def registry() -> Any:
    """Version 1 with a ladder of two models, and the champion, version 2, without one."""
    made = open_registry()
    plain, path = made.pack_files, f"models/{MODEL}.yaml"
    made.pack_files = {**plain, path: yaml.safe_dump({**yaml.safe_load(plain[path]), "ladder": {}})}
    parts = {"model.onnx": b"1", "calibration.json": dumps(CALIBRATION), "explanation.json": dumps({"kind": "opaque"})}
    files = {f"{folder}/{name}": body for folder in (SEGMENT, OWN) for name, body in parts.items()}
    files["ladder.json"] = dumps({"tenants": PLACES})
    for name, body in files.items():
        made.lake.put_new(f"{RUN}/made/{name}", body)
    made.lake.put_new(f"{RUN}/ladder/files.json", dumps({name: f"{RUN}/made/{name}" for name in files}))
    made.register(1)
    made.pack_files = plain
    made.register(2)
    return made


def back(registry: Any) -> dict[str, Any]:
    done = roll_back(registry, MODEL, by=TECHNICAL, why="test", at="2026-02-01", from_version=2)
    assert done["version"] == 1
    checked: dict[str, Any] = done["checked"]
    return checked


def unrecorded(registry: Any) -> None:
    """Make the version as if it were from before files were recorded."""
    said = read_json(registry.lake, f"{FIRST}/lineage.json")
    registry.lake.put(f"{FIRST}/lineage.json", dumps({**said, "files": None}))


def put(name: str, body: bytes) -> Callable[[Any], None]:
    return lambda registry: registry.lake.put(f"{FIRST}/{name}", body)


def without(name: str, *, recorded: bool = True) -> Callable[[Any], None]:
    def damage(registry: Any) -> None:
        registry.lake.remove(f"{FIRST}/{name}")
        if not recorded:
            unrecorded(registry)

    return damage


def test_every_file_of_a_ladder_is_recorded_and_a_rollback_finds_it_as_it_was(registry: Any) -> None:
    recorded = set(load_version(registry.lake, MODEL, 1).lineage["files"])
    parts = ("model.onnx", "calibration.json", "explanation.json")
    assert {"ladder.json", *(f"{folder}/{name}" for folder in (SEGMENT, OWN) for name in parts)} <= recorded
    assert set(back(registry).values()) == {"ok"}


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (put(f"{SEGMENT}/model.onnx", b"01"), "segment-01/model.onnx: missing, or not as registered"),
        (put(f"{OWN}/calibration.json", dumps({**CALIBRATION, "rows": 2})), "odd/calibration.json: missing, or not"),
        (put("ladder.json", dumps({"tenants": {}})), "ladder.json: missing, or not as registered"),
        (without(f"{SEGMENT}/model.onnx"), "segment-01/model.onnx: missing, or not as registered"),
        # not an erasure, which would have removed the other files too
        (without(f"{OWN}/explanation.json"), "odd/explanation.json: missing, or not as registered"),
        (without(f"{SEGMENT}/model.onnx", recorded=False), "it cannot be loaded: .*segment-01/model.onnx"),
    ],
)
def test_a_version_whose_ladder_was_damaged_does_not_become_champion(
    registry: Any, damage: Callable[[Any], None], told: str
) -> None:
    damage(registry)
    with pytest.raises(ConflictError, match=told):
        back(registry)
    assert champion_number(registry.lake, MODEL) == 2


def erase_tenant(registry: Any) -> None:
    for key in list(registry.lake.keys(f"{FIRST}/{OWN}/")):
        registry.lake.remove(key)


@pytest.mark.parametrize("erase", [erase_tenant, put(f"{OWN}/explanation.json", b"")], ids=["tenant", "customer"])
def test_a_version_can_be_rolled_back_to_after_an_erasure_took_a_tenants_own_model(
    registry: Any, erase: Callable[[Any], None]
) -> None:
    erase(registry)
    assert set(back(registry).values()) == {"ok"}
    artifact = load_artifact(registry, load_version(registry.lake, MODEL, 1))
    whose = np.array(["odd", "north"], dtype=object)
    rungs = artifact.rungs(whose)
    assert list([] if rungs is None else rungs) == ["global", "segment"]
    assert len(artifact.score(np.zeros((2, 1), dtype=np.float32), whose)[1]) == 2
