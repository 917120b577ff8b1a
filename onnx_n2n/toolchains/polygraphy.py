"""A loader of polygraphy: the student of a model, where a script of polygraphy takes a model."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import onnx
from polygraphy import util
from polygraphy.backend.base import BaseLoader
from polygraphy.backend.onnx import OnnxFromPath
from polygraphy.logger import G_LOGGER

from onnx_n2n.passes import Pass
from onnx_n2n.passes.functions import run


class GrowOnnx(BaseLoader):
    """Load the student of a model, once it is verified.

    >>> from polygraphy.backend.onnxrt import SessionFromOnnx
    >>> from polygraphy.backend.onnx import BytesFromOnnx
    >>> build = SessionFromOnnx(BytesFromOnnx(GrowOnnx("model.onnx", "widen{factor=2}")))
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | onnx.ModelProto | Callable[[], onnx.ModelProto],
        passes: str | Pass,
        **how: Any,
    ) -> None:
        """Say what is to be loaded.

        Args:
            model: The teacher, or what returns it, as another loader; or the path of its file.
            passes: The passes, as :func:`onnx_n2n.run` takes them.
            how: How they are run: all else that it takes.
        """
        self._model = OnnxFromPath(os.fspath(model)) if isinstance(model, str | os.PathLike) else model
        self._passes, self._how = passes, how

    def call_impl(self) -> onnx.ModelProto:
        """Return the student; nothing is written.

        Raises:
            N2NError: As :func:`onnx_n2n.run` does.
        """
        model, _ = util.invoke_if_callable(self._model)
        result = run(model, self._passes, **self._how)
        G_LOGGER.info(f"{result.passes}: {result.report.short}")
        student: onnx.ModelProto = result.model
        return student
