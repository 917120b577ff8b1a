"""What numbers are in a run: rules are written once, over what this class offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from onnx_n2n.exact.lengths import Named
from onnx_n2n.exact.numeric import Numbers

Kind = TypeVar("Kind", bound=Numbers)
ROW = "row of "  # begins the name of what is defined only for the places of so many rows


def row_of(count: int) -> str:
    """Return the name of the function that looks up one of so many rows."""
    return f"{ROW}{count}"


class World(ABC, Generic[Kind]):
    """Numbers of one kind, and the functions of them that are no sums or products.

    Attributes:
        exact: Whether equal numbers show that two functions are equal.
        node: The node that is calculated. Runs of two worlds may visit it differently often: where one knows which
            branch it takes, another one may have to mix both.
        place: Its name, or that of its first output.
    """

    exact: ClassVar[bool] = False
    node: Named = ("", "")
    place: str = ""

    # Numbers

    @abstractmethod
    def enter(self, array: ArrayLike) -> Kind:
        """Return an array, or a single number, as numbers, without rounding where these are exact."""

    @abstractmethod
    def fraction(self, over: int, under: int) -> Kind:
        """Return a fraction, as an array without axes."""

    @abstractmethod
    def root_of(self, over: int, under: int) -> Kind:
        """Return the square root of a fraction above 0, as an array without axes.

        Raises:
            Undecided: If it is no number here.
        """

    @abstractmethod
    def variable(self, name: Hashable, shape: Sequence[int]) -> Kind:
        """Return variables: the same ones for the same name and shape."""

    @abstractmethod
    def given(self, name: str, type_: int, shape: Sequence[int]) -> Kind:
        """Return an input of a type, as ONNX numbers them: each number a variable of its own."""

    @abstractmethod
    def places(self, array: np.ndarray) -> Kind:
        """Return what stands for numbers that say how long or where something is, the same for equal ones."""

    def held(self, x: Kind, type_: int) -> Kind:  # noqa: ARG002
        """Return what a node makes as an element type holds it, as ONNX numbers them; exact numbers have no largest."""
        return x

    @abstractmethod
    def texts(self, array: np.ndarray) -> Kind:
        """Return a number for each text, the same for equal ones."""

    def stand_for(self, numbers: Kind, known: np.ndarray) -> np.ndarray:  # noqa: ARG002
        """Return where numbers are shown to be those that are known: bool of their shape."""
        return np.zeros(known.shape, bool)

    def measured(self, numbers: Kind, known: np.ndarray) -> np.ndarray:  # noqa: ARG002
        """Return which products of lengths numbers are shown to be multiples of: int64 of their shape.

        1 for a number that is no multiple of a length, 0 where nothing is shown.
        """
        return np.zeros(known.shape, np.int64)

    def marks(self, numbers: Kind) -> Iterable[bytes]:  # noqa: ARG002
        """Return what tells numbers that differ apart, one after the other; nothing where these are not exact."""
        return ()

    # Inverses and roots

    @abstractmethod
    def reciprocal(self, x: Kind) -> Kind:
        """Return one over numbers."""

    @abstractmethod
    def inverse(self, x: Kind) -> Kind:
        """Return one over numbers that no input has a part in, exactly: a fraction, also of random functions."""

    @abstractmethod
    def rsqrt(self, x: Kind, approximately: ArrayLike | None = None) -> Kind:
        """Return one over square roots; exactly for constants whose roots are numbers of a type.

        Args:
            x: The numbers.
            approximately: What they are as doubles, where they are constants.
        """

    @abstractmethod
    def sqrt(self, x: Kind, approximately: ArrayLike | None = None) -> Kind:
        """Return square roots, one over which is what `rsqrt` gives."""

    def inverses(self, x: Kind, over: Kind) -> None:
        """Remember that one is one over the other."""

    # Functions

    @abstractmethod
    def apply(self, name: str, parameters: Hashable, *arguments: Kind) -> Kind:
        """Return a function of the numbers at each place of arguments that broadcast.

        Args:
            name: One of the table in `functions`.
            parameters: Whatever else it depends on; a tuple is handed on to the function on real numbers.
            arguments: What it is taken of.
        """

    def note(self, name: str, x: Kind, *others: Kind, parameters: Hashable = ()) -> None:
        """Note that a function gives back its first argument: an idempotent one, or Max or Min of it and another."""

    def branch(self, decision: Kind, place: int) -> AbstractContextManager[None]:  # noqa: ARG002
        """Return within what a branch runs, which counts only where a decision is one way: 0 where it holds, or 1."""
        return nullcontext()

    @abstractmethod
    def extreme(self, kind: str, x: Kind, axes: Sequence[int], present: np.ndarray | None = None) -> Kind:
        """Return the largest or smallest number over axes: a function of the set of numbers.

        Args:
            kind: ``Max`` or ``Min``.
            x: The numbers.
            axes: The axes over which is chosen; they vanish.
            present: Which of the numbers there are, bool that broadcasts; all if not given.
        """

    @abstractmethod
    def extreme_of(self, kind: str, *arguments: Kind) -> Kind:
        """Return the largest or smallest of the numbers at each place of arguments that broadcast."""

    @abstractmethod
    def of_rows(self, name: str, parameters: Hashable, x: Kind, axis: int, count: int) -> Kind:
        """Return ``count`` functions of all numbers along an axis, in order; they stand along that axis."""

    @abstractmethod
    def weights(self, places: Kind, count: int, *, anywhere: bool = False) -> Kind:
        """Return for numbers that say which of ``count`` rows is meant a weight for each row: ``[..., count]``.

        Args:
            places: The numbers.
            count: How many rows there are.
            anywhere: Whether it is defined, or known, for what is no place of a row.
        """
