"""How a student is verified."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from onnx_n2n.errors import OptionError
from onnx_n2n.io.sources import Source
from onnx_n2n.verification.runtime import TIME_LIMIT, importable
from onnx_n2n.verification.setup import PLAIN, Hook, Setup

Feeds = Mapping[str, np.ndarray] | Sequence[Mapping[str, np.ndarray]]


@dataclass(frozen=True)
class Proof:
    """How a student is verified.

    Attributes:
        wanted: Whether to verify at all.
        inputs: Arrays by input name, or several such; None draws them.
        shapes: Shapes of inputs with free dimensions.
        provider: Where to run: on CUDA if that works (``auto``), or as said; any that ONNX Runtime offers.
        seed: Seed of drawn inputs.
        time_limit: How many seconds one run of a model may take; infinity is no limit.
        read: The files that the inputs are from.
        exact: Whether the exact check is asked for as well; if not, it is made where it is cheap, and if None never.
        setup: What sessions need besides: custom operators, and options that a caller sets.
    """

    wanted: bool = True
    inputs: Feeds | None = None
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    provider: str = "auto"
    seed: int = 0
    time_limit: float = TIME_LIMIT
    read: tuple[Source, ...] = ()
    exact: bool | None = False
    setup: Setup = PLAIN

    @classmethod
    def asked(
        cls,
        verify: bool = True,
        inputs: Feeds | str | os.PathLike[str] | None = None,
        shapes: Mapping[str, tuple[int, ...]] | None = None,
        provider: str = "auto",
        seed: int = 0,
        time_limit: float = TIME_LIMIT,
        exact: bool | None = None,
        custom_ops: Sequence[str | os.PathLike[str]] = (),
        session_options: Hook | None = None,
    ) -> Proof:
        """Return the proof that somebody asks for, if it can be had: growing may take long.

        Args:
            verify: Whether to verify at all.
            inputs: As in ``Proof``, or an npz file of arrays by input name.
            shapes: As in ``Proof``, like all that follow.
            provider: Where to run.
            seed: Seed of drawn inputs.
            time_limit: How many seconds one run of a model may take.
            exact: Whether to make the exact check as well. Unless it is None, that replaces a run that says nothing of
                how it is made, where there is no ONNX Runtime.
            custom_ops: Libraries of custom operators.
            session_options: Is given the options of every session.

        Raises:
            OptionError: There is no such provider, or the exact check is asked for and nothing is to be verified.
            InputError: The file cannot be read.
            N2NError: There is no ONNX Runtime, or it cannot load a library.
        """
        from onnx_n2n.verification.inputs import read_inputs  # not to state options: these know models
        from onnx_n2n.verification.sessions import providers

        if exact and not verify:
            raise OptionError("`exact=True` does not go with `verify=False`", hint="leave one of them out")
        read: tuple[Source, ...] = ()
        if isinstance(inputs, str | os.PathLike):
            read = (Source.of(Path(inputs)),)  # first: what is changed while it is read is refused
            inputs = read_inputs(Path(inputs))
        setup = Setup.asked(custom_ops, session_options)
        proof = cls(verify, inputs, shapes or {}, provider, seed, time_limit, read, exact, setup)
        if verify and proof.runs:
            providers(provider)
            setup.check()
        return proof

    @property
    def runs(self) -> bool:
        """Whether models are run to verify; else the exact check is made instead, as there is no ONNX Runtime."""
        return not self.replaceable or importable()

    @property
    def replaceable(self) -> bool:
        """Whether the exact check may verify where models cannot be run: nothing is said of how to run them."""
        usual = Proof()
        plain = (self.provider, self.setup) == (usual.provider, usual.setup)
        return self.exact is not None and self.inputs is None and plain

    @property
    def options(self) -> tuple[str, ...]:
        """What a command must be told to verify so; but for the seed, which is that of the pass."""
        usual = Proof()
        shapes = [f"{name}:{','.join(map(str, shape))}" for name, shape in self.shapes.items()]
        inputs = () if self.inputs is None else ("--inputs", str(self.read[0].path) if self.read else "INPUTS.npz")
        provider = () if self.provider == usual.provider else ("--provider", self.provider)
        limit = () if self.time_limit == usual.time_limit else ("--time-limit", str(self.time_limit))
        exact = ("--exact",) if self.exact else ()
        lists = {"--input": shapes, "--custom-ops": self.setup.libraries}
        several = (word for flag, values in lists.items() for value in values for word in (flag, value))
        return (*inputs, *several, *provider, *limit, *exact)
