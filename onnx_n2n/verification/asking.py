"""What a user says of how models are run: options of all commands and functions that verify."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from onnx_n2n.errors import OptionError
from onnx_n2n.options import Options, option, whole
from onnx_n2n.verification.options import Feeds, Proof
from onnx_n2n.verification.runtime import TIME_LIMIT
from onnx_n2n.verification.setup import Hook
from onnx_n2n.words import brief


def parse_shape(text: str) -> tuple[str, tuple[int, ...]]:
    """Read ``name:1,3,224,224``; the name may hold colons, and ``name:`` is a scalar.

    Raises:
        OptionError: The text has another form.
    """
    name, _, sizes = text.rpartition(":")
    shape = tuple(whole(size.strip()) for size in sizes.split(",")) if sizes.strip() else ()
    if not name or None in shape:
        raise OptionError(f"{brief(repr(text))} does not name an input and its shape", hint="Write name:1,3,224,224")
    return name, cast("tuple[int, ...]", shape)


@dataclass(frozen=True, kw_only=True)
class Verifying(Options):
    """How models are run."""

    inputs: Feeds | str | os.PathLike[str] | None = option(
        None, "Verify with these arrays, by input name.", usual="drawn", metavar="FILE.npz"
    )
    shapes: Mapping[str, tuple[int, ...]] = option(
        {}, "Shape of an input whose dimensions are free.", flags=("--input",), metavar="NAME:1,3,224,224",
        entry=parse_shape,
    )  # fmt: skip
    provider: str = option(
        "auto", "Where to run both models: on CUDA where it works (auto), or on any provider that the installed ONNX "
        "Runtime offers.", metavar="auto|cpu|cuda|...",
    )  # fmt: skip
    time_limit: float = option(TIME_LIMIT, "What one run of a model may take, or 'inf'.", metavar="SECONDS", above=0)
    custom_ops: Sequence[str | os.PathLike[str]] = option(
        (), "A library with custom operators of the model, for ONNX Runtime.", metavar="LIB"
    )
    session_options: Hook | None = option(
        None, "A function that is given the SessionOptions of every session, and may change them.", typed=False
    )

    def proof(self, *, wanted: bool = True, seed: int = 0, exact: bool | None = None) -> Proof:
        """Return the proof that is asked for, if it can be had: growing may take long.

        Args:
            wanted: Whether to verify at all.
            seed: Seed of drawn inputs.
            exact: Whether to make the exact check as well; None for never.

        Raises:
            OptionError: There is no such provider, or the exact check is asked for and nothing is to be verified.
            InputError: The file of the inputs cannot be read.
            N2NError: There is no ONNX Runtime, or it cannot load a library.
        """
        return Proof.asked(
            wanted, self.inputs, self.shapes, self.provider, seed, self.time_limit, exact, self.custom_ops,
            self.session_options,
        )  # fmt: skip
