"""What becomes of a tensor in an export, and what the user wants of it by globs, ``train`` and ``freeze``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from onnx_n2n.errors import OptionError
from onnx_n2n.words import perhaps

Kind = Literal["trained", "state", "constant"]


@dataclass(frozen=True)
class Decision:
    """What becomes of a tensor.

    Attributes:
        kind: ``trained``: a parameter, which gradients change; ``state``: kept with the parameters, but not changed by
            gradients: statistics, buffers, frozen weights; ``constant``: part of the program.
        because: Why, for people.
        guess: Whether that is read off what the tensor looks like, so that it may be wrong.
    """

    kind: Kind
    because: str
    guess: bool = False


STATISTICS = Decision("state", "statistics of a BatchNormalization")
FROZEN = Decision("state", "frozen by its name")
WANTED = Decision("trained", "trained by its name")


class Choice:
    """What the user wants. Where both match a tensor, ``train`` holds, so ``freeze=['*'], train=['head.*']`` works.

    Args:
        freeze: Globs of tensors that gradients do not change.
        train: Globs of tensors that gradients change.

    Raises:
        OptionError: One of the two is a single text, not several.
    """

    def __init__(self, freeze: Iterable[str] = (), train: Iterable[str] = ()) -> None:
        if isinstance(freeze, str) or isinstance(train, str):
            raise OptionError("freeze and train are lists of patterns, not a text", hint="write ['head.*']")
        self.freeze, self.train = tuple(freeze), tuple(train)
        self._met: set[tuple[str, str]] = set()  # which option, and its pattern
        self._refused: dict[str, str] = {}

    def over(self, found: Decision, names: Sequence[str], *, refusal: str = "") -> Decision:
        """Put what the user wants over what was found.

        Args:
            found: What becomes of the tensor otherwise.
            names: What the tensor is called, in the file and in the framework.
            refusal: Why the tensor cannot be trained, if it cannot.
        """
        train = [glob for glob in self.train if _matches(glob, names)]
        freeze = [glob for glob in self.freeze if _matches(glob, names)]
        self._met.update(("freeze", glob) for glob in freeze)
        if train and refusal:
            self._refused |= dict.fromkeys(train, f"{names[0]!r} {refusal}")
        elif train:
            self._met.update(("train", glob) for glob in train)
            return WANTED
        return FROZEN if freeze and found.kind == "trained" else found

    def check(self, names: Iterable[str], unread: Iterable[str] = ()) -> None:
        """Refuse what matched nothing.

        Args:
            names: What could have matched.
            unread: Those of the file that nothing reads: they are as frozen as can be, and nothing trains them.

        Raises:
            OptionError: A pattern names no tensor, or only such as cannot be trained.
        """
        known, idle = sorted(set(names)), sorted(set(unread))
        for option, globs in (("freeze", self.freeze), ("train", self.train)):
            for glob in globs:
                named = next((name for name in idle if _matches(glob, [name])), None)
                if (option, glob) in self._met or (named is not None and option == "freeze"):
                    continue
                if named is not None:
                    self._refused.setdefault(glob, f"nothing reads {named!r}")
                if option == "train" and glob in self._refused:
                    raise OptionError(f"`train=[{glob!r}]` names what cannot be trained: {self._refused[glob]}")
                hint = perhaps(glob, known, "the names of all tensors are in export.json", cutoff=0.5)
                raise OptionError(f"`{option}=[{glob!r}]` matches no tensor of the model", hint=hint)


def _matches(glob: str, names: Iterable[str]) -> bool:
    return any(glob == name or fnmatchcase(name, glob) for name in names)
