"""Where a checkpoint lies: in a file, in several with an index, or in a folder with what else a model needs."""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from onnx_n2n.checkpoint.shard_index import ENDING, Index
from onnx_n2n.errors import ModelError, OptionError
from onnx_n2n.io.folders import Own, check_folder, making_folder
from onnx_n2n.io.sources import Source, kind_at

INDEXED = rf"({re.escape(ENDING)})?"
KINDS = (  # what is taken in a folder, the first that is there: transformers and diffusers prefer the same
    re.compile(rf".*\.safetensors{INDEXED}"),
    re.compile(rf"pytorch_model.*\.bin{INDEXED}"),
    re.compile(rf".*\.(pt|pth|ckpt|bin){INDEXED}"),
)
WEIGHTS = re.compile(
    r".*\.(safetensors|bin|pt|pth|ckpt|h5|keras|msgpack|gguf|onnx|onnx_data|npz|npy|pb|tflite|ot|distcp"
    rf"|pdparams|pkl|index|data-\d+-of-\d+)|.*{re.escape(ENDING)}"
)
SIZES = "config.json"  # where Hugging Face's classes read their sizes


@dataclass(frozen=True)
class Location:
    """Where a checkpoint lies.

    Attributes:
        files: Its files.
        index: Which tensor is in which of them, where there are several.
        folder: The folder, where the checkpoint is a folder, or has an index.
    """

    files: tuple[Source, ...]
    index: Index | None = None
    folder: Path | None = None

    @classmethod
    def of(cls, path: Path) -> Location:
        """Find a checkpoint, by a file, an index or a folder.

        Raises:
            ModelError: There is none, or there are several.
        """
        folder = path if kind_at(path) == "folder" else None
        path = path if folder is None else _only(folder)
        if not path.name.endswith(ENDING):
            return cls((Source.of(path, f"the checkpoint {str(path)!r}"),), None, folder)
        index = _index(path)
        files = (Source.of(path.with_name(name), f"{name!r}, which {path.name!r} names,") for name in index.files)
        return cls(tuple(files), index, path.parent)

    @property
    def suffix(self) -> str:
        """The ending of its files."""
        return self.files[0].path.suffix

    @property
    def read(self) -> tuple[Source, ...]:
        """All that is read of it."""
        return self.files if self.index is None else (*self.files, self.index.source)


@dataclass(frozen=True)
class Companions:
    """What else is in the folder of a checkpoint.

    Attributes:
        copied: Files that are copied as they are.
        left_out: Names of those that are not: other weights, which have not grown; folders; what is no file.
    """

    copied: tuple[Source, ...]
    left_out: tuple[str, ...]

    @classmethod
    def of(cls, place: Location) -> Companions:
        """Look at what is there."""
        own = {source.path.name for source in place.read}
        copied, left_out = [], []
        for path in sorted(place.folder.iterdir()) if place.folder else ():
            if path.name in own:
                continue
            if path.is_file() and not WEIGHTS.fullmatch(path.name):
                copied.append(Source.of(path))
            else:
                left_out.append(path.name + "/" * path.is_dir())
        return cls(tuple(copied), tuple(left_out))


@contextmanager
def growing_folder(
    target: Path, place: Location, rest: Companions, *, force: bool, read: Collection[Source]
) -> Iterator[Path]:
    """Lend the draft of a folder, with the rest of a checkpoint's folder in it.

    Raises:
        OptionError: Nothing can be written there, or there are other weights.
        ModelError: What was read has changed meanwhile, or the disk does not take the files.
    """
    own = check_growing(target, place, rest, force=force)
    with making_folder(target, own, force=force, read=(*place.read, *rest.copied, *read)) as draft:
        for source in rest.copied:
            shutil.copyfile(source.path, draft / source.path.name)
        yield draft


def check_growing(target: Path, place: Location, rest: Companions, *, force: bool) -> Own:
    """Make sure that a folder can be written, and return which names in it are replaced.

    Raises:
        OptionError: Nothing can be written there, or there are other weights.
    """
    names = frozenset(source.path.name for source in (*place.read, *rest.copied))
    check_folder(target, lambda _: names, force=force, read=(*place.read, *rest.copied))
    check_weights(target, names)
    return lambda _: names


def check_weights(target: Path, names: Collection[str]) -> None:
    """Make sure that a folder, if it is there, has no weights but those of some names.

    Raises:
        OptionError: It has others, which would lie beside what is written there.
    """
    weights = (path.name for path in target.iterdir()) if target.is_dir() else iter(())
    if others := sorted(name for name in weights if WEIGHTS.fullmatch(name) and name not in names):
        reason = f"{str(target)!r} has other weights: {_listed(others)}"
        raise OptionError(reason, hint="choose another output with `output=`, or remove them")


def _only(folder: Path) -> Path:
    """Return the one checkpoint in a folder."""
    try:
        names = sorted(path.name for path in folder.iterdir() if path.is_file())
    except OSError as failure:
        raise ModelError(f"{str(folder)!r} cannot be read: {failure.strerror}") from failure
    for kind in KINDS:
        found = [name for name in names if kind.fullmatch(name)]
        of_others = {file for name in found if name.endswith(ENDING) for file in _index(folder / name).files}
        found = [name for name in found if name not in of_others]
        if len(found) > 1:
            raise ModelError(
                f"{str(folder)!r} has several checkpoints: {_listed(found)}",
                hint=f"name the one that is meant, as {folder / found[0]}",
            )
        if found:
            return folder / found[0]
    there = f": there {'is' if len(names) == 1 else 'are'} {_listed(names)}" if names else ", and no files"
    raise ModelError(
        f"{str(folder)!r} has no checkpoint{there}",
        hint="one is model.safetensors, pytorch_model.bin, or the index of several, as model.safetensors.index.json",
    )


def _index(path: Path) -> Index:
    return Index.read(Source.of(path, f"the index {str(path)!r}"))


def _listed(names: Collection[str]) -> str:
    shown = ", ".join(map(repr, list(names)[:8]))
    return f"{shown} and {len(names) - 8} more" if len(names) > 8 else shown
