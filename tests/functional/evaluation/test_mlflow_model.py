"""A version's folder is an MLflow model with our scores. uv runs MLflow in an environment of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from propensity.adapters.sklearn_trainer import SklearnTrainer
from propensity.evaluation.domain.mlflow_model import mlflow_files
from propensity.evaluation.evaluate_candidate import evaluate_candidate
from propensity.pack.domain.definition import parse_definition
from propensity.pack.domain.model_spec import LadderSpec
from propensity.ports import Sample
from propensity.registry.artifact import load_artifact
from propensity.registry.domain.ladder import Ladder
from propensity.registry.tenant_models import TenantModels
from propensity.registry.versions import load_version
from propensity.runtime.pack_files import pack_files
from propensity.stats.calibration import Calibration, fit_isotonic
from tests.kit.world import World

KIT = Path(__file__).parents[2] / "kit"
UV = shutil.which("uv") or str(KIT.parents[1] / ".tools/bin/uv")
RUN = [UV, "run", "--no-project", "--quiet", "--python", "3.13", "--with", "mlflow==3.17.2"]
RUN += ["--with", "onnxruntime==1.31.1", "--with", "numpy==2.5.5", "python"]


def in_mlflow(*arguments: str) -> None:
    """Score in MLflow's environment; skips where uv cannot make one. Making it takes a minute, and 1 s after that."""
    done = subprocess.run([*RUN, *arguments], capture_output=True, text=True, check=False)
    if not done.stdout.startswith("environment made"):
        pytest.skip(f"uv cannot fetch MLflow here: {done.stderr[-300:]}")
    assert done.returncode == 0, done.stderr[-3000:]


def version_with_a_ladder(world: World) -> tuple[TenantModels, Calibration, Any]:
    """A folder `v` as register_model would write it: boosted trees, and a tenant on each rung."""
    definition = parse_definition(pack_files("automotive"), "buy", where="automotive", entity="customer_id")
    definition = definition.model_copy(
        update={"model": definition.model.model_copy(update={"ladder": LadderSpec.model_validate({})})}
    )
    loader = Path(KIT.parents[1] / "shared/src/propensity/pyfunc_loader.py").read_text()
    files = mlflow_files(
        definition, run="runs/x", as_of="2025-07-01", ranking="AUC 0.7", loader=loader, python="3.13", packages={}
    )
    for name, text in files.items():
        world.lake.put(f"v/{name}", text.encode())
    random = np.random.default_rng(5)
    matrix = random.normal(size=(3_000, len(definition.feature_names))).astype(np.float32)
    matrix[random.random(matrix.shape) < 0.1] = np.nan
    calibrations = []
    for folder, family, column in (("v", "hist_gradient_boosting", 0), ("v/own", "logistic_regression", 1)):
        labels = (np.nan_to_num(matrix[:, column]) + random.normal(size=len(matrix)) > 1).astype(np.int8)
        fitted = SklearnTrainer().fit(family, {"max_iter": 30}, Sample(matrix, labels), seed=1)
        calibrations.append(fit_isotonic(fitted.predict(matrix), labels))
        world.lake.put(f"{folder}/model.onnx", fitted.onnx())
        world.lake.put(f"{folder}/calibration.json", json.dumps(calibrations[-1].to_json()).encode())
        world.lake.put(f"{folder}/explanation.json", b"{}")
    plain = {"model": None, "intercept": 0.0, "rate": None}
    places = {
        "a": {**plain, "rung": "own", "model": "own"},
        "b": {**plain, "rung": "intercept", "intercept": 0.7},
        "c": {**plain, "rung": "heuristic", "rate": 0.03},
        "erased": {**plain, "rung": "own", "model": "gone"},
    }
    world.lake.put("v/ladder.json", json.dumps({"tenants": places}).encode())
    ladder = Ladder.from_json({"tenants": places})
    return TenantModels(world, "v", ladder), calibrations[0], matrix


def test_mlflow_loads_a_version_and_gives_the_same_calibrated_scores(trained: World, tmp_path: Path) -> None:
    version = load_version(trained.lake, "service", 1)
    plain, world = tmp_path / "plain", World("automotive", tmp_path / "world")
    shutil.copytree(trained.folder / version.folder, plain)
    artifact = load_artifact(trained, version)
    random = np.random.default_rng(2)
    wide = (random.normal(size=(500, len(artifact.definition.feature_names))) * 30).astype(np.float32)
    wide[::7] = np.nan
    _, expected = artifact.score(wide, np.full(len(wide), "nobody", dtype=object))
    assert expected.min() < 0.02 < 0.99 < expected.max()
    np.save(plain / "matrix.npy", wide)
    np.save(plain / "tenants.npy", np.full(len(wide), "nobody"))
    models, calibration, matrix = version_with_a_ladder(world)
    tenants = np.array(["a", "b", "c", "erased", "new"])[np.arange(len(matrix)) % 5]
    raw = world.scorer(world.lake.get("v/model.onnx")).predict(matrix)
    _, by_ladder = models.apply(matrix, tenants, raw, calibration.apply(raw))
    laddered = world.folder / "v"
    np.save(laddered / "matrix.npy", matrix)
    np.save(laddered / "tenants.npy", tenants)
    in_mlflow(str(KIT / "mlflow_scores.py"), str(plain), str(laddered))
    np.testing.assert_allclose(np.load(plain / "scores.npy"), expected, atol=1e-6, rtol=0)
    np.testing.assert_allclose(np.load(laddered / "scores.npy"), by_ladder, atol=1e-6, rtol=0)


def test_what_mlflow_reads_says_whose_version_it_is_and_pins_what_it_was_tried_with(trained: World) -> None:
    version = load_version(trained.lake, "service", 1)
    model = yaml.safe_load(trained.lake.get(f"{version.folder}/MLmodel"))
    inputs = json.loads(model["signature"]["inputs"])
    assert tuple(one["name"] for one in inputs if one["required"]) == version.definition(trained.lake).feature_names
    assert model["metadata"]["run"] == version.lineage["run"]
    assert model["utc_time_created"].startswith(version.lineage["as_of"])
    pinned = trained.lake.get(f"{version.folder}/requirements.txt").decode()
    assert f"numpy=={np.__version__}" in pinned.splitlines()


def test_writing_it_again_writes_the_same_bytes(trained: World, tmp_path: Path) -> None:
    run = load_version(trained.lake, "service", 1).lineage["run"]
    again = trained.copy(tmp_path)
    names = list(again.lake.keys(f"{run}/mlflow/"))
    assert len(names) == 6
    for key in (*names, f"{run}/evaluation.json"):
        again.lake.remove(key)
    evaluate_candidate(again, run=run)
    assert {key: again.lake.get(key) for key in names} == {key: trained.lake.get(key) for key in names}
