"""A version's folder is an MLflow model, whose scores are ours. MLflow is run by uv in an environment of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from propensity.adapters.onnx_scorer import OnnxScorer
from propensity.adapters.sklearn_trainer import SklearnTrainer
from propensity.domain.calibration import Calibration, fit_isotonic
from propensity.domain.mlflow_model import mlflow_files
from propensity.domain.pack import parse_definition
from propensity.runtime.pack_files import pack_files
from propensity.usecases.evaluate_candidate import evaluate_candidate
from propensity.usecases.registry import load_version
from propensity.usecases.scoring import load_artifact
from tests.functional.harness import World

HERE = Path(__file__).parent
UV = shutil.which("uv") or str(HERE.parents[1] / ".tools/bin/uv")
RUN = [UV, "run", "--no-project", "--quiet", "--python", "3.13", "--with", "mlflow==3.17.2"]
RUN += ["--with", "onnxruntime==1.31.1", "--with", "numpy==2.5.5", "python"]


def in_mlflow(*arguments: str) -> None:
    """Run in MLflow's environment; skips where uv cannot make one, which takes a minute at first and 1 s after that."""
    done = subprocess.run([*RUN, *arguments], capture_output=True, text=True, check=False)
    if not done.stdout.startswith("environment made"):
        pytest.skip(f"uv cannot fetch MLflow here: {done.stderr[-300:]}")
    assert done.returncode == 0, done.stderr[-3000:]


def version_of_trees(folder: Path) -> tuple[OnnxScorer, Calibration, Any]:
    """A folder as register_model would write it, with a table as its calibration."""
    definition = parse_definition(pack_files("automotive"), "buy", where="automotive", entity="customer_id")
    random = np.random.default_rng(5)
    matrix = random.normal(size=(3_000, len(definition.feature_names))).astype(np.float32)
    matrix[random.random(matrix.shape) < 0.1] = np.nan
    labels = (np.nan_to_num(matrix[:, 0]) + random.normal(size=len(matrix)) > 1).astype(np.int8)
    fitted = SklearnTrainer().fit("hist_gradient_boosting", {"max_iter": 30}, matrix, labels, seed=1)
    calibration = fit_isotonic(fitted.predict(matrix), labels)
    loader = Path(HERE.parents[1] / "shared/src/propensity/pyfunc_loader.py").read_text()
    files = mlflow_files(definition, run="runs/x", as_of="2025-07-01", loader=loader, python="3.13", packages={})
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "model.onnx").write_bytes(fitted.onnx())
    (folder / "calibration.json").write_text(json.dumps(calibration.to_json()))
    return OnnxScorer(fitted.onnx()), calibration, matrix


def test_mlflow_loads_a_version_and_gives_the_same_calibrated_scores(trained: World, tmp_path: Path) -> None:
    version = load_version(trained.lake, "service", 1)
    linear, trees = tmp_path / "linear", tmp_path / "trees"
    shutil.copytree(trained.folder / version.folder, linear)
    artifact = load_artifact(trained, version)
    random = np.random.default_rng(2)
    wide = (random.normal(size=(500, len(artifact.definition.feature_names))) * 30).astype(np.float32)
    wide[::7] = np.nan
    _, expected = artifact.score(wide, np.full(len(wide), "dealer_01", dtype=object))
    assert expected.min() < 0.02 < 0.99 < expected.max()
    scorer, calibration, matrix = version_of_trees(trees)
    np.save(linear / "matrix.npy", wide)
    np.save(trees / "matrix.npy", matrix)
    in_mlflow(str(HERE / "mlflow_scores.py"), str(linear), str(trees))
    np.testing.assert_allclose(np.load(linear / "scores.npy"), expected, atol=1e-6, rtol=0)
    np.testing.assert_allclose(
        np.load(trees / "scores.npy"), calibration.apply(scorer.predict(matrix)), atol=1e-6, rtol=0
    )


def test_what_mlflow_reads_says_whose_version_it_is_and_pins_what_it_was_tried_with(trained: World) -> None:
    version = load_version(trained.lake, "service", 1)
    model = yaml.safe_load(trained.lake.get(f"{version.folder}/MLmodel"))
    inputs = json.loads(model["signature"]["inputs"])
    assert tuple(one["name"] for one in inputs) == version.definition(trained.lake).feature_names
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
