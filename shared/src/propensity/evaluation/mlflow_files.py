"""Writes the files that make a version's folder an MLflow model. They stand below the training run first."""

from __future__ import annotations

import sys
from importlib.metadata import version
from importlib.resources import files

from propensity.evaluation.domain.mlflow_model import mlflow_files
from propensity.pack.domain.definition import Definition
from propensity.ports import Ports

_PACKAGES = ("numpy", "onnxruntime")  # what the loader needs, in the versions that the parity gate was passed with


def write_mlflow_files(ports: Ports, run: str, as_of: str, definition: Definition) -> dict[str, str]:
    """Names in the version's folder, with the keys of the files that were written."""
    made = mlflow_files(
        definition,
        run=run,
        as_of=as_of,
        loader=files("propensity").joinpath("pyfunc_loader.py").read_text(),
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        packages={name: version(name) for name in _PACKAGES},
    )
    for name, text in made.items():
        ports.lake.put_new(f"{run}/mlflow/{name}", text.encode())
    return {name: f"{run}/mlflow/{name}" for name in made}
