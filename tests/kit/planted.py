"""Faults planted into a training run's inputs: its feature files, or the trainer that exports the model."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
from onnx import TensorProto, helper, numpy_helper

from propensity.adapters.sklearn_trainer import SklearnTrainer
from propensity.evaluation.evaluate_candidate import evaluate_candidate
from propensity.ports import FittedModel, Sample
from propensity.training.fit_candidate import fit_candidate
from tests.kit.world import World

MODEL = "service"
Change = Callable[[pa.Table], pa.Table]
Graph = Callable[[Any], None]


def simple(world: World, **changes: Any) -> World:
    """The model with one candidate and few fits, so that a fault shows soon."""
    few = {"candidates": [{"family": "logistic_regression", "grid": [{"C": 1.0}]}], "validation": {"folds": 2}}
    with world.edited(f"models/{MODEL}.yaml") as model:
        model |= few | changes
    return world


def finish(world: World, plan: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Finish a prepared run; its gates by name. Asserts that the version was promoted only where no gate failed."""
    for item in world.items(plan["fit_items"]):
        fit_candidate(world, item=item)
    evaluate_candidate(world, run=plan["run"])
    registered = world.register(plan["run"])
    folder = f"registry/{MODEL}/versions/{registered['version']:06d}"
    gates = {gate["name"]: gate for gate in json.loads(world.lake.get(f"{folder}/gates.json"))}
    assert registered["failed_gates"] == [name for name, gate in gates.items() if not gate["passed"]]
    assert registered["promoted"] == (not registered["failed_gates"])
    return gates


def change_rows(world: World, plan: Mapping[str, Any], change: Change) -> None:
    """Change the rows of the run's feature files, all files taken as one table."""
    paths = [world.folder / key for key in world.feature_keys(plan)]
    tables = [pq.read_table(path) for path in paths]
    whole, start = change(pa.concat_tables(tables)), 0
    for path, table in zip(paths, tables, strict=True):
        pq.write_table(whole.slice(start, len(table)), path)
        start += len(table)


def with_column(table: pa.Table, name: str, values: Any) -> pa.Table:
    place = table.column_names.index(name)
    return table.set_column(place, name, pa.array(values, type=table.schema.field(name).type, from_pandas=True))


def features_of(table: pa.Table) -> list[str]:
    """The columns between a row's identity and its label."""
    names = table.column_names
    return list(names[names.index("as_of") + 1 : names.index("label")])


class Converted:
    """A fitted model whose export is tampered with; its own probabilities are right."""

    def __init__(self, fitted: FittedModel, change: Graph) -> None:
        self._fitted, self._change = fitted, change

    def __getattr__(self, name: str) -> Any:
        return getattr(self._fitted, name)

    def onnx(self) -> bytes:
        model = onnx.load_from_string(self._fitted.onnx())
        self._change(model.graph)
        return bytes(model.SerializeToString(deterministic=True))


class FaultyConverter(SklearnTrainer):
    def __init__(self, change: Graph) -> None:
        self._change = change

    def fit(self, *args: Any, **options: Any) -> Any:
        return Converted(super().fit(*args, **options), self._change)


class ConstantTrainer(SklearnTrainer):
    """Learns with every feature set to 0."""

    def fit(self, family: str, parameters: Mapping[str, Any], train: Sample, **options: Any) -> Any:
        return super().fit(family, parameters, replace(train, matrix=np.zeros_like(train.matrix)), **options)


class MixedUpTrainer(SklearnTrainer):
    """Learns other rows' labels."""

    def fit(self, family: str, parameters: Mapping[str, Any], train: Sample, **options: Any) -> Any:
        mixed = np.random.default_rng(1).permutation(train.labels)
        return super().fit(family, parameters, replace(train, labels=mixed), **options)


def shifted_by(amount: float) -> Graph:
    """Every probability of a conversion is higher by this amount."""

    def change(graph: Any) -> None:
        for node in graph.node:
            for place, name in enumerate(node.output):
                if name == "probabilities":
                    node.output[place] = "right"
        graph.initializer.append(numpy_helper.from_array(np.array([[-amount, amount]], np.float32), "amount"))
        graph.node.append(helper.make_node("Add", ["right", "amount"], ["probabilities"]))

    return change


def swapped(one: int, other: int) -> Graph:
    """Two features stand in each other's place."""

    def change(graph: Any) -> None:
        order = np.arange(graph.input[0].type.tensor_type.shape.dim[1].dim_value)
        order[[one, other]] = order[[other, one]]
        graph.initializer.append(numpy_helper.from_array(order, "order"))
        _before(graph, helper.make_node("Gather", ["features", "order"], ["mixed"], axis=1))

    return change


def cut_at(most: Any) -> Graph:
    """Values are cut at `most`, the highest of the training set: right for every row that was seen, wrong beyond."""

    def change(graph: Any) -> None:
        graph.initializer.append(helper.make_tensor("most", TensorProto.FLOAT, [1, len(most)], most.tolist()))
        # where the feature is missing it stays missing, as in the model
        _before(graph, helper.make_node("Where", ["over", "most", "features"], ["mixed"]))
        graph.node.insert(0, helper.make_node("Greater", ["features", "most"], ["over"]))

    return change


def _before(graph: Any, node: Any) -> None:
    """Put a node between the features and whatever reads them."""
    for reader in graph.node:
        for place, name in enumerate(reader.input):
            if name == "features":
                reader.input[place] = node.output[0]
    graph.node.insert(0, node)
