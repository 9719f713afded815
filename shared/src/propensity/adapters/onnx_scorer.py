"""The Model port over onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime

from propensity.kernel.errors import ConflictError


class OnnxScorer:
    """A model with one float32 input and its probabilities as a tensor. Raises ConflictError for other bytes."""

    def __init__(self, onnx: bytes) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # only errors are logged: a function never has a GPU, nor some files of /sys
        try:
            self._session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's error classes are private, and have no common root but Exception
            raise ConflictError(f"model.onnx cannot be loaded: {error}") from error
        outputs = [output.name for output in self._session.get_outputs()]
        if len(self._session.get_inputs()) != 1 or "probabilities" not in outputs:
            raise ConflictError(f"model.onnx gives {', '.join(outputs)}, expected probabilities from one input")
        [self._input] = self._session.get_inputs()

    @property
    def width(self) -> int | None:
        # an axis without a fixed size has a name instead, or None
        size = self._input.shape[1] if len(self._input.shape) == 2 else None
        return size if isinstance(size, int) else None

    def predict(self, matrix: Any) -> Any:
        if len(matrix) == 0:
            return np.empty(0, dtype=np.float64)
        try:
            [probabilities] = self._session.run(["probabilities"], {self._input.name: matrix})
        except Exception as error:  # these are onnxruntime's private error classes again; their text may show values
            raise ConflictError(
                f"model.onnx cannot score a matrix of shape {matrix.shape}: {type(error).__name__}"
            ) from error
        return np.asarray(probabilities, dtype=np.float64)[:, 1]
