"""The files that make a version's folder an MLflow model. Scoring by this product does not read these files.

The format is MLflow's (mlflow.org, "MLflow Models"), and these functions write it without MLflow. MLflow itself takes a
random UUID and the clock, so a rerun would give other bytes. These functions derive both from the run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

import yaml

from propensity.pack.domain.definition import Definition

_CODE = "mlflow_code"


def mlflow_files(
    definition: Definition,
    *,
    run: str,
    as_of: str,
    ranking: str,
    loader: str,
    python: str,
    packages: Mapping[str, str],
) -> dict[str, str]:
    """Return the names of files in the version's folder, with their text. Equal arguments give equal files.

    `ranking` says how well the model ranks. `loader` is the source text of the loader, and `packages` are the packages
    that the loader needs, with their versions. The folder must also hold model.onnx and calibration.json.
    """
    # two versions may be loaded into one process, so each loader module needs a name of its own
    module = f"propensity_{hashlib.sha256(loader.encode()).hexdigest()[:8]}"
    requirements = ["mlflow", "pandas", *(f"{name}=={version}" for name, version in sorted(packages.items()))]
    model = definition.model
    # rows without a tenant are scored by the global model
    tenant = [{"type": "string", "name": "tenant_id", "required": False}] if model.ladder else []
    described = {
        "flavors": {
            "python_function": {
                "loader_module": module,
                "code": _CODE,
                "data": ".",
                "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
                "python_version": python,
            }
        },
        "model_uuid": hashlib.sha256(run.encode()).hexdigest()[:32],
        "utc_time_created": f"{as_of} 00:00:00.000000",
        "signature": {
            "inputs": json.dumps([*map(_column, definition.feature_names), *tenant]),
            "outputs": json.dumps([_column("probability")]),
            "params": None,
        },
        "metadata": {
            "model": model.name,
            "run": run,
            "as_of": as_of,
            "feature_set": definition.feature_set,
            "ranking": ranking,
        },
    }
    conda = {
        "name": "propensity",
        "channels": ["conda-forge"],
        "dependencies": [f"python={python}", "pip", {"pip": requirements}],
    }
    environment = {"python": python, "build_dependencies": ["pip"], "dependencies": ["-r requirements.txt"]}
    return {
        "MLmodel": _yaml(described),
        "conda.yaml": _yaml(conda),
        "python_env.yaml": _yaml(environment),
        "requirements.txt": "".join(f"{line}\n" for line in requirements),
        "features.json": json.dumps(list(definition.feature_names), indent=1) + "\n",
        f"{_CODE}/{module}.py": loader,
    }


def _column(name: str) -> dict[str, object]:
    # the type is double, not float: MLflow refuses to narrow a type, and the numbers of a DataFrame are doubles by
    # default
    return {"type": "double", "name": name, "required": True}


def _yaml(value: object) -> str:
    return yaml.safe_dump(value, sort_keys=False, width=10_000)
