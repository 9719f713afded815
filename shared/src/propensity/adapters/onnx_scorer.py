"""The Model and ReasonModel ports over onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime

from propensity.kernel.errors import ConflictError


class _Graph:
    """An ONNX graph with one float32 input. Raises ConflictError for other bytes, naming the file."""

    def __init__(self, onnx: bytes, *, file: str, output: str) -> None:
        self._file, self._output = file, output
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # only errors are logged: a function never has a GPU, nor some files of /sys
        # threads that wait for the next pass of a batch would take half as much CPU again as the passes themselves
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's error classes are private, and have no common root but Exception
            raise ConflictError(f"{file} cannot be loaded: {error}") from error
        outputs = [one.name for one in self._session.get_outputs()]
        if len(self._session.get_inputs()) != 1 or output not in outputs:
            raise ConflictError(f"{file} gives {', '.join(outputs)}, expected {output} from one input")
        [self._input] = self._session.get_inputs()

    @property
    def width(self) -> int | None:
        # an axis without a fixed size has a name instead, or None
        size = self._input.shape[1] if len(self._input.shape) == 2 else None
        return size if isinstance(size, int) else None

    def run(self, matrix: Any) -> Any:
        try:
            [found] = self._session.run([self._output], {self._input.name: matrix})
        except Exception as error:  # these are onnxruntime's private error classes again; their text may show values
            raise ConflictError(
                f"{self._file} cannot score a matrix of shape {matrix.shape}: {type(error).__name__}"
            ) from error
        return np.asarray(found, dtype=np.float64)


class OnnxScorer:
    """A model with one float32 input and its probabilities as a tensor. Raises ConflictError for other bytes."""

    def __init__(self, onnx: bytes) -> None:
        self._graph = _Graph(onnx, file="model.onnx", output="probabilities")

    @property
    def width(self) -> int | None:
        return self._graph.width

    def predict(self, matrix: Any) -> Any:
        return self._graph.run(matrix)[:, 1] if len(matrix) else np.empty(0, dtype=np.float64)


class OnnxReasons:
    """The graph of a tree model's reasons. Raises ConflictError for other bytes."""

    def __init__(self, onnx: bytes) -> None:
        self._graph = _Graph(onnx, file="reasons.onnx", output="contributions")

    def contributions(self, matrix: Any) -> Any:
        return self._graph.run(matrix) if len(matrix) else np.empty(matrix.shape, dtype=np.float64)
