"""Models as ONNX Runtime opens them, and sessions that compute the same thing every time.

Every exception of ONNX Runtime becomes a typed error here, with the first line of what ONNX Runtime said.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import io
import os
import tempfile
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from onnx_n2n.errors import KernelError, ModelError, OptionError, RunError, TimeLimitError
from onnx_n2n.graph.unfolding import bounded
from onnx_n2n.io import files, model
from onnx_n2n.io.rooms import room
from onnx_n2n.verification import mapped
from onnx_n2n.verification.memory import SMALLER
from onnx_n2n.verification.runtime import TIME_LIMIT, first_line, runtime
from onnx_n2n.verification.setup import PLAIN, Setup

AnyModel = model.ModelLike
Provider = str  # auto, cpu, cuda, or any other that the installed build offers, as openvino; in any case
Feed = Mapping[str, np.ndarray]

SUFFIX = "ExecutionProvider"
CUDA, CPU = f"CUDA{SUFFIX}", f"CPU{SUFFIX}"
NVIDIA = (CUDA, f"Tensorrt{SUFFIX}")

# What makes CUDA calculate in float32, and choose the same kernels every time.
OPTIONS = {CUDA: {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}}

NO_KERNEL = "Could not find an implementation for"  # what ONNX Runtime says of a node whose types it knows
NO_OPERATOR = "is not a registered function/op"  # and of one that it does not know

GRACE = 3.0  # seconds that a run has to heed that it should stop, which ONNX Runtime does between two nodes

_SILENT, _WARNINGS = 4, 2  # from which severity on ONNX Runtime's loggers report; warnings are its default


@dataclass(frozen=True)
class SessionModel:
    """A model as ONNX Runtime opens it.

    Attributes:
        data: A file, or what would be in one.
        folder: Where the external data of bytes is.
        setup: What a session of it needs besides.
    """

    data: Path | bytes
    folder: Path | None
    setup: Setup = PLAIN

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
        return files.from_bytes(self.data, self.folder or Path())

    def proto(self) -> onnx.ModelProto:
        """The model as a message, to be changed; weights in files of their own stay there."""
        data = self.data.read_bytes() if isinstance(self.data, Path) else self.data
        return onnx.load_model_from_string(data)

    def holding(self, proto: onnx.ModelProto) -> SessionModel:
        """Another model, whose external data is where this model's is."""
        folder = self.data.parent if isinstance(self.data, Path) else self.folder
        return replace(self, data=proto.SerializeToString(), folder=folder)

    def exposing(self, names: Sequence[str]) -> SessionModel:
        """The same model with intermediate tensors as further graph outputs.

        Serialised protobuf messages merge when they are joined, so the model need not be parsed; ONNX Runtime infers
        the types of the new outputs.
        """
        extra = onnx.ModelProto(graph=onnx.GraphProto(output=[onnx.ValueInfoProto(name=name) for name in names]))
        if isinstance(self.data, Path):
            return replace(self, data=self.data.read_bytes() + extra.SerializeToString(), folder=self.data.parent)
        return replace(self, data=self.data + extra.SerializeToString())

    def giving(self, names: Collection[str]) -> SessionModel:
        """The same model with tensors of its main graph in place of its outputs, in this order.

        Raises:
            ModelError: One is not there.
        """
        proto = self.proto()
        give(proto.graph, names)
        return self.holding(proto)

    def taking(self, model: ir.Model) -> SessionModel:
        """The same model with further inputs, which nothing reads: those of another one that it lacks."""
        proto = self.proto()
        there = {info.name for info in proto.graph.input}
        needed = (value for value in model.graph.inputs if value.name not in model.graph.initializers)
        more = [ir.serde.serialize_value(value) for value in needed if value.name not in there]
        proto.graph.input.extend(more)
        return self.holding(proto) if more else self


def give(graph: onnx.GraphProto, names: Collection[str]) -> None:
    """Let a graph give tensors of its own in place of its outputs, in this order.

    Raises:
        ModelError: One is not there.
    """
    infos = {info.name: info for info in (*graph.value_info, *graph.input, *graph.output)}
    made = {name for node in graph.node for name in node.output}
    for name in names:
        if name not in made and name not in infos:
            raise ModelError(f"the teacher has no tensor {name!r}", hint="name what a node of its main graph makes")
    wanted = onnx.GraphProto(output=[infos.get(name) or onnx.ValueInfoProto(name=name) for name in names])
    kept = onnx.GraphProto(value_info=[info for info in graph.value_info if info.name not in names])
    graph.ClearField("output")
    graph.ClearField("value_info")
    graph.MergeFrom(wanted)
    graph.MergeFrom(kept)


@contextlib.contextmanager
def opened(
    given: AnyModel | SessionModel, folder: Path | None = None, setup: Setup = PLAIN
) -> Iterator[SessionModel]:
    """Bring a model into a form that ONNX Runtime opens; a temporary file lives as long as the context.

    Args:
        given: The model, which may be in that form. External data of a file is relative to the file.
        folder: Where external data of ``bytes`` or of a ``ModelProto`` is; else the working directory.
        setup: What a session of it needs besides.

    Raises:
        ModelError: The model cannot be written out for ONNX Runtime to read.
    """
    if isinstance(given, SessionModel):
        yield replace(given, setup=setup)
        return
    if isinstance(given, str | os.PathLike):
        yield _file(Path(given), setup)
        return
    with contextlib.ExitStack() as stack:
        if isinstance(given, onnx.ModelProto):
            inside = stack.enter_context(room(Path(tempfile.gettempdir())))
            if (apart := mapped.of_proto(given, mapped.Apart(inside))) is not None:
                yield SessionModel(apart, inside, setup)
                return
            with contextlib.suppress(Exception):  # protobuf's EncodeError: 2 GiB and more have to go into files
                given = given.SerializeToString()
        if isinstance(given, bytes):
            yield SessionModel(given, folder, setup)
            return
        path = stack.enter_context(room(Path(tempfile.gettempdir()))) / "model.onnx"
        model.save(given, path)
        yield _file(path, setup)


def beside(model: AnyModel, folder: Path | None) -> Path | None:
    """The folder where test data sets of a model may be: that of its file, or the one that is named."""
    return Path(model).parent if isinstance(model, str | os.PathLike) else folder


def _file(path: Path, setup: Setup) -> SessionModel:
    apart = mapped.of_file(path)
    return SessionModel(path if apart is None else apart, path.parent, setup)


def providers(choice: Provider) -> tuple[str, ...]:
    """The execution providers to try, best first.

    Raises:
        OptionError: The installed build has no such provider, or it does not work here.
        N2NError: There is no ONNX Runtime to run anything.
    """
    wanted = choice.lower().removesuffix(SUFFIX.lower())
    if wanted == "auto":
        return (CUDA, CPU) if CUDA in runtime().get_available_providers() and not refusal(CUDA) else (CPU,)
    offered = {short(name).lower(): name for name in runtime().get_available_providers()}
    name = offered.get(wanted)
    if name is None:
        raise OptionError(
            f"the ONNX Runtime that is installed has no provider {choice!r}",
            hint=f"choose one of {', '.join(['auto', *offered])}, or install another build in place of this one",
        )
    if name != CPU and (reason := refusal(name)):
        more = ", or pip install 'onnxruntime-gpu[cuda,cudnn]' on a machine with an NVIDIA GPU" if name == CUDA else ""
        reason = f"ONNX Runtime cannot use {short(name)} here: {reason}"
        raise OptionError(reason, hint=f"Use `provider='auto'`, or `provider='cpu'`{more}")
    return (name,)


def short(provider: str) -> str:
    """The name of a provider without what all of them end with."""
    return provider.removesuffix(SUFFIX)


@functools.cache
def refusal(provider: str) -> str:
    """Why a provider of this build runs no layer here; empty where it does.

    ONNX Runtime lists CUDA where no device is, and silently gives the CPU instead.
    """
    ort = runtime()
    if provider in NVIDIA and hasattr(ort, "preload_dlls"):
        with contextlib.redirect_stdout(io.StringIO()):
            ort.preload_dlls()
    probe = onnx.parser.parse_model('<ir_version: 8, opset_import: ["": 17]> g (float x) => (float y) {y = Relu(x)}')
    options = ort.SessionOptions()
    options.log_severity_level = _SILENT
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    try:
        with _quiet(ort):
            ort.InferenceSession(probe.SerializeToString(), options, providers=[provider], enable_fallback=False)
    except Exception as failure:  # ONNX Runtime's exceptions share no base of their own
        return "no device, or no libraries for it" if "fallback to CPU EP" in str(failure) else first_line(failure)
    return ""


@contextlib.contextmanager
def _quiet(ort: Any) -> Iterator[None]:
    """Silence the default logger, to which providers report instead of to the session's."""
    ort.set_default_logger_severity(_SILENT)
    try:
        yield
    finally:
        ort.set_default_logger_severity(_WARNINGS)


def session(source: SessionModel, provider: str, *, optimise: bool = False) -> Any:
    """Open a model for running, without graph optimisations unless they are asked for.

    Raises:
        KernelError: ONNX Runtime has no kernel for one of its nodes.
        ModelError: ONNX Runtime refuses the model, or opens it elsewhere than on the provider.
        N2NError: A library of custom operators cannot be loaded.
    """
    ort = runtime()
    options = ort.SessionOptions()
    options.log_severity_level = _SILENT
    options.use_deterministic_compute = True
    options.enable_cpu_mem_arena = False  # it keeps a copy of what a run needs for a moment, as weights in single
    options.add_session_config_entry("session.disable_prepacking", "1")  # a copy of all weights, for a few runs
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # threads that wait take no processor
    level = ort.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimise else level.ORT_DISABLE_ALL
    place = source.data if isinstance(source.data, Path) else source.folder
    try:
        str(place).encode()
    except UnicodeEncodeError as failure:
        reason = f"ONNX Runtime cannot open {str(place)!a}: the name is not in UTF-8"
        raise ModelError(reason, hint="rename it") from failure
    data: str | bytes = str(source.data) if isinstance(source.data, Path) else source.data
    if isinstance(data, bytes) and source.folder is not None:
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(source.folder))
    source.setup.apply(options)
    chain = [CPU] if provider == CPU else [(provider, OPTIONS.get(provider, {})), CPU]  # layers it lacks run on the CPU
    try:
        with contextlib.nullcontext() if provider == CPU else _quiet(ort):
            found = ort.InferenceSession(data, options, providers=chain, enable_fallback=False)
    except Exception as failure:  # ONNX Runtime's exceptions share no base of their own
        reason = f"ONNX Runtime cannot open the model: {first_line(failure)}"
        if NO_KERNEL in str(failure):
            raise KernelError(reason, hint="the exact check runs no model (`exact=True`)") from failure
        if NO_OPERATOR in str(failure):
            raise ModelError(reason, hint="Name the library that has it with `custom_ops=`") from failure
        raise ModelError(reason, hint="`verify=False` goes without running it, unproven") from failure
    if (got := found.get_providers()[0]) != provider:
        raise ModelError(f"ONNX Runtime opens the model on {short(got)}, and not on {short(provider)}")
    return found


@dataclass(frozen=True)
class Timed:
    """An open model, of which each run ends in time.

    Attributes:
        session: The model as ONNX Runtime has opened it.
        limit: How many seconds one run may take; infinity is no limit.

    Raises:
        OptionError: The limit is not above zero.
    """

    session: Any
    limit: float = TIME_LIMIT

    def __post_init__(self) -> None:
        if not self.limit > 0:
            raise OptionError(f"the time limit must be above 0 seconds, not {self.limit:g}")


def run(model: Timed, feed: Feed, names: Sequence[str]) -> list[Any]:
    """Run a model.

    It runs in a thread of its own. So signals are heard meanwhile, and a single node that never ends, in which ONNX
    Runtime does not notice that it should stop, holds nobody up: its thread is left behind.

    Returns:
        One value per name: an array, or for outputs that are no tensors what ONNX Runtime gives.

    Raises:
        RunError: ONNX Runtime fails on this feed.
        TimeLimitError: It takes longer than it may.
    """
    options = runtime().RunOptions()
    options.log_severity_level = _SILENT
    answer: Future[list[Any]] = Future()

    def work() -> None:
        try:
            answer.set_result(_answer(model.session, feed, names, options))
        except BaseException as failure:
            answer.set_exception(failure)

    threading.Thread(target=work, daemon=True).start()
    try:
        wait((answer,), min(model.limit, threading.TIMEOUT_MAX))
        late = not answer.done()
    finally:
        options.terminate = True  # also when a signal has ended the wait
        wait((answer,), GRACE)  # an interpreter that ends while ONNX Runtime returns to it crashes
    if late:
        raise TimeLimitError(
            f"one run of a model was stopped after {model.limit:g} seconds",
            shapes=described(feed),
            hint=f"Allow it more with `time_limit=`, or {SMALLER}",
        )
    try:
        return answer.result()
    except Exception as failure:  # ONNX Runtime's exceptions share no base of their own
        raise RunError(f"ONNX Runtime fails while running: {first_line(failure)}") from failure


def _answer(session: Any, feed: Feed, names: Sequence[str], options: Any) -> list[Any]:
    kinds = {value.name: value.type for value in [*session.get_inputs(), *session.get_outputs()]}
    if not any(kind.startswith(("tensor(bfloat16", "tensor(float8")) for kind in kinds.values()):
        return list(session.run(list(names), dict(feed), options))
    values = {name: _to_runtime(array) for name, array in feed.items()}
    return [_from_runtime(value) for value in session.run_with_ort_values(list(names), values, options)]


def described(feed: Feed) -> str:
    """Names, types and shapes of a feed, for people."""
    return ", ".join(f"{name} {array.dtype}[{','.join(map(str, array.shape))}]" for name, array in feed.items())


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
