"""The trees of model.onnx, read and written: out of a tree model, the graph that gives the reasons of its scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, load_from_string

from propensity.ports import ReasonGraph
from propensity.registry.domain.tree_reasons import Asked, Leaf, Parts, Reasoned, Split, Tree, reason_trees

OPSET = {"": 21, "ai.onnx.ml": 3}
_TREES = "TreeEnsembleClassifier"


def reasons_graph(model: bytes, typical: Sequence[float | None], *, unit: str) -> ReasonGraph | None:
    """Return the graph of the reasons of a tree model; None for a model of another kind.

    The graph takes float32 (n, k) and gives `contributions`, float32 (n, k), in the unit in which the model adds up its
    trees. `typical` has k values, None for missing.
    """
    trees = read_trees(model)
    if trees is None:
        return None
    values = np.array([np.nan if value is None else value for value in typical], dtype=np.float32)
    method, reasoned = reason_trees(trees, values.tolist())
    return ReasonGraph(method, unit, written(reasoned, len(values)))


def read_trees(model: bytes) -> list[Tree] | None:
    """Return the trees of a model with two classes, each leaf with its share of class 1; None without trees."""
    nodes = [node for node in load_from_string(model).graph.node if node.op_type == _TREES]
    if len(nodes) != 1:
        return None
    has = {attribute.name: helper.get_attribute_value(attribute) for attribute in nodes[0].attribute}
    if set(has["nodes_modes"]) - {b"BRANCH_LEQ", b"LEAF"} or len(set(has["class_ids"])) != 1:
        return None
    weight = {
        (tree, node): float(value)
        for tree, node, value in zip(has["class_treeids"], has["class_nodeids"], has["class_weights"], strict=True)
    }
    names = ("treeids", "nodeids", "modes", "featureids", "values", "truenodeids", "falsenodeids")
    at: dict[tuple[int, int], tuple[Any, ...]] = {}
    for row in zip(*(has[f"nodes_{name}"] for name in names), has["nodes_missing_value_tracks_true"], strict=True):
        at[row[0], row[1]] = row[2:]

    def tree(number: int, node: int) -> Tree:
        mode, feature, threshold, true, false, nan_left = at[number, node]
        if mode == b"LEAF":
            return Leaf(weight.get((number, node), 0.0))
        return Split(feature, float(threshold), bool(nan_left), tree(number, true), tree(number, false))

    return [tree(number, 0) for number in sorted({number for number, _ in at})]


@dataclass(slots=True)
class _Nodes:
    """The attributes of a TreeEnsembleRegressor under construction."""

    nodes: list[tuple[int, int, str, int, float, int, int, int]] = field(default_factory=list)
    targets: list[tuple[int, int, int, float]] = field(default_factory=list)

    def add(self, number: int, tree: Reasoned) -> None:
        """Add a tree, its nodes numbered from the root on."""
        waiting: list[tuple[int, Reasoned]] = [(0, tree)]
        count = 1
        while waiting:
            place, node = waiting.pop()
            if isinstance(node, Asked):
                left, right, count = count, count + 1, count + 2
                self.nodes.append(
                    (number, place, "BRANCH_LEQ", node.feature, node.threshold, left, right, int(node.nan_left))
                )
                waiting += [(left, node.left), (right, node.right)]
            else:
                self.nodes.append((number, place, "LEAF", 0, 0.0, 0, 0, 0))
                # a leaf needs a target, also where nothing moved the score
                moved = node.moved or {0: 0.0}
                self.targets += [(number, place, feature, value) for feature, value in moved.items()]


def written(trees: Sequence[Reasoned], width: int) -> bytes:
    """Return the ONNX graph that adds up the contributions of trees of reasons, for matrices of `width` features."""
    out = _Nodes()
    for number, tree in enumerate(trees if trees else [Parts({})]):
        out.add(number, tree)
    treeids, nodeids, modes, features, values, true, false, nan_left = zip(*out.nodes, strict=True)
    target_trees, target_nodes, target_ids, weights = zip(*out.targets, strict=True)
    node = helper.make_node(
        "TreeEnsembleRegressor",
        ["features"],
        ["contributions"],
        domain="ai.onnx.ml",
        n_targets=width,
        nodes_treeids=treeids,
        nodes_nodeids=nodeids,
        nodes_modes=modes,
        nodes_featureids=features,
        nodes_values=values,
        nodes_truenodeids=true,
        nodes_falsenodeids=false,
        nodes_missing_value_tracks_true=nan_left,
        target_treeids=target_trees,
        target_nodeids=target_nodes,
        target_ids=target_ids,
        target_weights=weights,
    )
    graph = helper.make_graph(
        [node],
        "propensity_reasons",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, width])],
        [helper.make_tensor_value_info("contributions", TensorProto.FLOAT, [None, width])],
    )
    model: ModelProto = helper.make_model(
        graph, opset_imports=[helper.make_opsetid(domain, version) for domain, version in OPSET.items()]
    )
    model.ir_version = 10  # as the models of skl2onnx have it; onnx writes a newer one than older runtimes read
    return bytes(model.SerializeToString(deterministic=True))
