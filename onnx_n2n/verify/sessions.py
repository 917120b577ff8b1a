"""Models as ONNX Runtime opens them, and sessions that compute the same thing every time.

Every exception of ONNX Runtime becomes a typed error here, with the first line of what ONNX Runtime said.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib.metadata
import io
import math
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError, EncodeError

from onnx_n2n.errors import InputError, ModelError, N2NError, OptionError

AnyModel = Path | str | bytes | ir.Model | onnx.ModelProto
Provider = Literal["auto", "cuda", "cpu"]
Feed = Mapping[str, np.ndarray]

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"

# A protobuf message ends at 2 GiB; what is not weights has to fit beside them.
EMBEDDED_LIMIT = 2**31 - 2**26

# What makes two CUDA runs of one graph agree, and agree with float32 arithmetic.
CUDA_OPTIONS = {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}

MEND = "Run: pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime-gpu"


@dataclass(frozen=True)
class Source:
    """A model as ONNX Runtime opens it: a file, or bytes and the folder that external data is relative to."""

    data: Path | bytes
    folder: Path | None

    def skeleton(self) -> ir.Model:
        """The model for reading; external weights stay where they are."""
        try:
            if isinstance(self.data, Path):
                return ir.load(self.data)
            return ir.from_proto(onnx.load_model_from_string(self.data))
        except (OSError, DecodeError, ValueError) as failure:
            raise ModelError(f"The model cannot be read: {first_line(failure)}") from failure

    def exposing(self, names: Sequence[str]) -> Source:
        """The same model with intermediate tensors as further graph outputs.

        Serialised protobuf messages merge when they are joined, so the model need not be parsed; ONNX Runtime infers
        the types of the new outputs.
        """
        extra = onnx.ModelProto(graph=onnx.GraphProto(output=[onnx.ValueInfoProto(name=name) for name in names]))
        data = self.data.read_bytes() if isinstance(self.data, Path) else self.data
        return Source(data + extra.SerializeToString(), self.folder)


@contextlib.contextmanager
def opened(model: AnyModel, folder: Path | None = None) -> Iterator[Source]:
    """Bring a model into a form that ONNX Runtime opens; temporary files live as long as the context.

    Args:
        model: The model; external data of a file is relative to that file.
        folder: Where external data of a model in memory lives.

    Raises:
        ModelError: The file does not exist.
    """
    if isinstance(model, str | Path):
        path = Path(model)
        if not path.is_file():
            raise ModelError(f"There is no file {path}")
        yield Source(path, path.parent)
        return
    if isinstance(model, onnx.ModelProto):
        try:
            model = model.SerializeToString()
        except EncodeError:
            model = ir.from_proto(model)
            if folder is not None:
                ir.external_data.set_base_dir(model.graph, folder)
    if isinstance(model, bytes):
        yield Source(model, folder)
        return
    tensors = [v.const_value for g in model.graphs() for v in g.initializers.values() if v.const_value is not None]
    folders = {Path(t.base_dir) for t in tensors if isinstance(t, ir.ExternalTensor)}
    embedded = sum(t.nbytes for t in tensors if not isinstance(t, ir.ExternalTensor))
    if embedded < EMBEDDED_LIMIT and len(folders) <= 1:
        yield Source(ir.to_proto(model).SerializeToString(), next(iter(folders), folder))
        return
    with tempfile.TemporaryDirectory(prefix="onnx-n2n-") as temporary:
        path = Path(temporary, "model.onnx")
        ir.save(model, path, external_data="model.onnx.data")
        yield Source(path, path.parent)


def first_line(failure: BaseException) -> str:
    """The first line of an exception's text, without the code that ONNX Runtime puts before it."""
    text = str(failure).strip() or type(failure).__name__
    return text.splitlines()[0].split(" : ")[-1].rstrip(". ")


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
        text = f"{' and '.join(installed)} are both installed and overwrite each other's files. {MEND}."
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
    probe = onnx.parser.parse_model('<ir_version: 8, opset_import: ["": 17]> g (float[1] x) => (float[1] y) {y = Neg(x)}')
    ort.set_default_logger_severity(4)  # loading the provider reports to the default logger, not to the session's
    try:
        return bool(session(Source(probe.SerializeToString(), None), CUDA).get_providers()[0] == CUDA)
    except ModelError:
        return False
    finally:
        ort.set_default_logger_severity(2)  # ONNX Runtime's own default; there is no way to ask for the present one


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
    options.log_severity_level = 4
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
        raise ModelError(f"ONNX Runtime cannot open the model: {first_line(failure)}") from failure


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
    kind, shape = ir.DataType(value.element_type()), tuple(value.shape())
    if kind == ir.DataType.STRING:
        return value.numpy()
    if not math.prod(shape):
        return np.empty(shape, kind.numpy())
    raw = (ctypes.c_uint8 * value.tensor_size_in_bytes()).from_address(value.data_ptr())
    return np.frombuffer(raw, kind.numpy()).reshape(shape).copy()
