"""Models as ONNX Runtime opens them, and sessions that compute the same thing every time.

Every exception of ONNX Runtime becomes a typed error here, with the first line of what ONNX Runtime said.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib.metadata
import io
import os
import re
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import onnx_ir as ir

from onnx_n2n import files, model
from onnx_n2n.errors import InputError, ModelError, N2NError, OptionError
from onnx_n2n.unfolding import bounded

AnyModel = model.ModelLike | bytes
Provider = Literal["auto", "cuda", "cpu"]
Feed = Mapping[str, np.ndarray]

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"

# What makes CUDA calculate in float32, and choose the same kernels every time.
CUDA_OPTIONS = {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}

MEND = "Run: pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime-gpu"

_SILENT, _WARNINGS = 4, 2  # from which severity on ONNX Runtime's loggers report; warnings are its default


@dataclass(frozen=True)
class Source:
    """A model as ONNX Runtime opens it.

    Attributes:
        data: A file, or what would be in one.
        folder: Where the external data of bytes is, and where test data sets may be.
    """

    data: Path | bytes
    folder: Path | None

    def skeleton(self) -> ir.Model:
        """The model for reading; its weights stay where they are.

        Raises:
            ModelError: There is no model, none that the IR can represent, or none that ONNX Runtime opens in seconds.
        """
        found = self._read()
        bounded(found)
        return found

    def _read(self) -> ir.Model:
        if isinstance(self.data, Path):
            return model.load(self.data)
        try:
            proto = onnx.load_model_from_string(self.data)
        except Exception as error:  # protobuf's DecodeError, whose module has no types
            raise ModelError(f"the model cannot be read: {first_line(error)}") from error
        return files.from_proto(proto, [], self.folder or Path())

    def exposing(self, names: Sequence[str]) -> Source:
        """The same model with intermediate tensors as further graph outputs.

        Serialised protobuf messages merge when they are joined, so the model need not be parsed; ONNX Runtime infers
        the types of the new outputs.
        """
        extra = onnx.ModelProto(graph=onnx.GraphProto(output=[onnx.ValueInfoProto(name=name) for name in names]))
        if isinstance(self.data, Path):
            return Source(self.data.read_bytes() + extra.SerializeToString(), self.data.parent)
        return Source(self.data + extra.SerializeToString(), self.folder)


@contextlib.contextmanager
def opened(given: AnyModel, folder: Path | None = None) -> Iterator[Source]:
    """Bring a model into a form that ONNX Runtime opens; a temporary file lives as long as the context.

    Args:
        given: The model. External data of a file is relative to the file.
        folder: Where external data of ``bytes`` or of a ``ModelProto`` is; else the working directory.

    Raises:
        ModelError: The model cannot be written out for ONNX Runtime to read.
    """
    if isinstance(given, str | os.PathLike):
        yield Source(Path(given), Path(given).parent)
        return
    if isinstance(given, onnx.ModelProto):
        with contextlib.suppress(Exception):  # protobuf's EncodeError: 2 GiB and more have to go into files
            given = given.SerializeToString()
    if isinstance(given, bytes):
        yield Source(given, folder)
        return
    with tempfile.TemporaryDirectory(prefix="onnx-n2n-", ignore_cleanup_errors=True) as temporary:
        path = Path(temporary, "model.onnx")
        model.save(given, path)
        yield Source(path, folder)


def first_line(failure: BaseException) -> str:
    """The first line of an exception's text, without ONNX Runtime's own code and places in its source."""
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : |/\S+:\d+ .* was false\. ", "", str(failure).strip())
    return (text or type(failure).__name__).splitlines()[0].rstrip(". ")[:300]


@functools.cache
def runtime() -> Any:
    """ONNX Runtime, imported on first use: importing this package stays light.

    Warns once when builds that overwrite each other's files are installed together.

    Raises:
        N2NError: ONNX Runtime cannot be imported.
    """
    installed = [name for name in ("onnxruntime", "onnxruntime-gpu") if _is_installed(name)]
    try:
        import onnxruntime

        onnxruntime.InferenceSession  # noqa: B018 - an overwritten installation imports, but has nothing in it
    except (ImportError, AttributeError) as failure:
        raise N2NError(f"ONNX Runtime cannot be imported: {first_line(failure)}", hint=MEND) from failure
    if len(installed) > 1:
        text = f"{' and '.join(installed)} are both installed, and overwrite each other's files. {MEND}"
        warnings.warn(text, RuntimeWarning, stacklevel=2)
    return onnxruntime


def _is_installed(distribution: str) -> bool:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        importlib.metadata.version(distribution)
        return True
    return False


@functools.cache
def cuda_loads() -> bool:
    """Whether a CUDA session really is one: ONNX Runtime lists CUDA where no device is and silently gives the CPU."""
    ort = runtime()
    if CUDA not in ort.get_available_providers():
        return False
    if hasattr(ort, "preload_dlls"):
        with contextlib.redirect_stdout(io.StringIO()):
            ort.preload_dlls()
    probe = onnx.parser.parse_model('<ir_version: 8, opset_import: ["": 17]> g (float x) => (float y) {y = Neg(x)}')
    ort.set_default_logger_severity(_SILENT)  # loading a provider reports to the default logger, not to the session's
    try:
        return bool(session(Source(probe.SerializeToString(), None), CUDA).get_providers()[0] == CUDA)
    except ModelError:
        return False
    finally:
        ort.set_default_logger_severity(_WARNINGS)


def providers(choice: Provider) -> tuple[str, ...]:
    """The execution providers to try, best first.

    Raises:
        OptionError: CUDA was asked for and cannot be had.
    """
    if choice == "cpu":
        return (CPU,)
    if cuda_loads():
        return (CUDA,) if choice == "cuda" else (CUDA, CPU)
    if choice == "cuda":
        raise OptionError(
            "ONNX Runtime cannot use CUDA here: no device, no CUDA libraries, or a build without CUDA",
            hint="Use --provider cpu, or pip install 'onnxruntime-gpu[cuda,cudnn]' on a machine with an NVIDIA GPU",
        )
    return (CPU,)


def session(source: Source, provider: str, *, optimise: bool = False) -> Any:
    """Open a model for running, without graph optimisations unless they are asked for.

    Raises:
        ModelError: ONNX Runtime refuses the model.
    """
    ort = runtime()
    options = ort.SessionOptions()
    options.log_severity_level = _SILENT
    options.use_deterministic_compute = True
    level = ort.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimise else level.ORT_DISABLE_ALL
    data: str | bytes = str(source.data) if isinstance(source.data, Path) else source.data
    if isinstance(data, bytes) and source.folder is not None:
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(source.folder))
    chain = [(CUDA, CUDA_OPTIONS), CPU] if provider == CUDA else [CPU]
    try:
        return ort.InferenceSession(data, options, providers=chain, enable_fallback=False)
    except Exception as failure:  # ONNX Runtime's exceptions share no base of their own
        hint = "--no-verify widens without running it, unproven"
        raise ModelError(f"ONNX Runtime cannot open the model: {first_line(failure)}", hint=hint) from failure


def run(session: Any, feed: Feed, names: Sequence[str]) -> list[Any]:
    """Run a session.

    Returns:
        One value per name: an array, or for outputs that are no tensors what ONNX Runtime gives.

    Raises:
        InputError: ONNX Runtime fails on this feed.
    """
    kinds = {value.name: value.type for value in [*session.get_inputs(), *session.get_outputs()]}
    foreign = any(kind.startswith(("tensor(bfloat16", "tensor(float8")) for kind in kinds.values())
    try:
        if not foreign:
            return list(session.run(list(names), dict(feed)))
        values = {name: _to_runtime(array) for name, array in feed.items()}
        return [_from_runtime(value) for value in session.run_with_ort_values(list(names), values)]
    except Exception as failure:  # ONNX Runtime's exceptions share no base of their own
        raise InputError(f"ONNX Runtime fails while running: {first_line(failure)}") from failure


def _to_runtime(array: np.ndarray) -> Any:
    kind = ir.DataType.from_numpy(array.dtype)
    return runtime().OrtValue.ortvalue_from_numpy_with_onnx_type(np.ascontiguousarray(array), kind.value)


def _from_runtime(value: Any) -> Any:
    """An array from a value whose type ONNX Runtime knows and numpy does not: its bytes, read as that type."""
    if not value.is_tensor():
        return value.numpy()
    kind, size = ir.DataType(value.element_type()), value.tensor_size_in_bytes()
    raw = (ctypes.c_uint8 * size).from_address(value.data_ptr()) if size else b""
    return np.frombuffer(raw, kind.numpy()).reshape(value.shape()).copy()
