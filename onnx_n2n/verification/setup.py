"""What a session needs besides the model: libraries of custom operators, and what a caller sets for himself."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from onnx_n2n.errors import N2NError, OptionError
from onnx_n2n.io.sources import kind_at
from onnx_n2n.verification.runtime import first_line, runtime

Hook = Callable[[Any], object]
"""Is given the ``onnxruntime.SessionOptions`` of every session, and may change them."""


@dataclass(frozen=True)
class Setup:
    """How sessions are set up.

    Attributes:
        libraries: Files of shared libraries that register custom operators.
        hook: What is called last with the options of a session.
    """

    libraries: tuple[str, ...] = ()
    hook: Hook | None = None

    @classmethod
    def asked(cls, custom_ops: Sequence[str | os.PathLike[str]] = (), session_options: Hook | None = None) -> Setup:
        """Return the setup that somebody asks for, with paths that hold in every folder.

        Raises:
            OptionError: The hook cannot be called.
        """
        if session_options is not None and not callable(session_options):
            raise OptionError(f"session_options must be a function, not {type(session_options)}")
        return cls(tuple(os.path.abspath(os.fspath(path)) for path in custom_ops), session_options)  # noqa: PTH100

    def check(self) -> None:
        """Make sure that all libraries can be loaded.

        Raises:
            N2NError: One cannot, or there is no ONNX Runtime to load it.
        """
        if self.libraries:
            self.register(runtime().SessionOptions())

    def register(self, options: Any) -> None:
        """Let sessions with these options have the custom operators.

        Raises:
            N2NError: A library is not there, or ONNX Runtime cannot load it.
        """
        for path in self.libraries:
            if kind_at(path) != "file":  # the system would look for it elsewhere
                raise N2NError(f"there is no library {path!r}", hint="`custom_ops=` takes the path of a shared library")
            try:
                options.register_custom_ops_library(path)
            except Exception as failure:  # ONNX Runtime's exceptions share no base of their own
                reason = f"ONNX Runtime cannot load custom operators from {path!r}: {first_line(failure)}"
                hint = "give one that registers custom operators and was built for this version of ONNX Runtime"
                raise N2NError(reason, hint=hint) from failure

    def apply(self, options: Any) -> None:
        """Set up the options of a session.

        Raises:
            N2NError: As ``register`` says.
            OptionError: The hook fails.
        """
        self.register(options)
        if self.hook is None:
            return
        try:
            self.hook(options)
        except N2NError:
            raise
        except Exception as failure:  # of somebody else's code
            name = getattr(self.hook, "__qualname__", type(self.hook).__qualname__)
            said = f"{type(failure).__name__}: {first_line(failure)}".removesuffix(": ")
            raise OptionError(
                f"the hook for session options fails: {name} raises {said}",
                hint="it is given the `onnxruntime.SessionOptions` of each session; mend it, or leave it out",
            ) from failure


PLAIN = Setup()
