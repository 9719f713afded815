"""The Model and ReasonModel ports over onnxruntime.

A row's result depends on the row alone, bit for bit: not on the rows beside it, nor on the number of cores. onnxruntime
itself does not hold that. With several threads it adds up the float32 leaves of trees in an order that depends on the
number of rows and of threads (1.31, measured: up to 78 % of the scores differed, by up to 4e-7), and it multiplies a
single row by another kernel than several. So each session has one thread, and rows are shared out among threads here.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import onnxruntime

from propensity.kernel.errors import ConflictError

_SHARE = 4_096  # rows of a thread: for fewer, a thread costs as much as it saves


class _Graph:
    """An ONNX graph with one float32 input, run in `threads` threads, None for as many as the process has cores.

    Raises ConflictError for other bytes, naming the file.
    """

    def __init__(self, onnx: bytes, *, file: str, output: str, threads: int | None) -> None:
        self._file, self._output = file, output
        self._threads = threads or os.process_cpu_count() or 1
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
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
        """Return the output, float64, for a matrix of at least one row."""
        if len(matrix) == 1:
            return self._once(np.repeat(matrix, 2, axis=0))[:1]
        shares = min(self._threads, len(matrix) // _SHARE)
        if shares < 2:
            return self._once(matrix)
        with ThreadPoolExecutor(shares) as pool:
            return np.concatenate(list(pool.map(self._once, np.array_split(matrix, shares))))

    def _once(self, matrix: Any) -> Any:
        try:
            [found] = self._session.run([self._output], {self._input.name: matrix})
        except Exception as error:  # these are onnxruntime's private error classes again; their text may show values
            raise ConflictError(
                f"{self._file} cannot score a matrix of shape {matrix.shape}: {type(error).__name__}"
            ) from error
        return np.asarray(found, dtype=np.float64)


class OnnxScorer:
    """A model with one float32 input and its probabilities as a tensor. Raises ConflictError for other bytes."""

    def __init__(self, onnx: bytes, *, threads: int | None = None) -> None:
        self._graph = _Graph(onnx, file="model.onnx", output="probabilities", threads=threads)

    @property
    def width(self) -> int | None:
        return self._graph.width

    def predict(self, matrix: Any) -> Any:
        return self._graph.run(matrix)[:, 1] if len(matrix) else np.empty(0, dtype=np.float64)


class OnnxReasons:
    """The graph of a tree model's reasons. Raises ConflictError for other bytes."""

    def __init__(self, onnx: bytes, *, threads: int | None = None) -> None:
        self._graph = _Graph(onnx, file="reasons.onnx", output="contributions", threads=threads)

    def contributions(self, matrix: Any) -> Any:
        return self._graph.run(matrix) if len(matrix) else np.empty(matrix.shape, dtype=np.float64)
