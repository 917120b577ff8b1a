"""The data: images and characters, split into training, validation and test, and dealt out in an order that is fixed.

Batch number n of epoch e is the same for every arm with the same seed, its augmentation included.
"""

from __future__ import annotations

import gzip
import pickle
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

SIDE = 50  # images along each side of a mosaic
Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True, eq=False)
class Examples:
    """Inputs with what is asked of each; images are uint8[n, c, h, w], and text is one long row of characters."""

    inputs: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.inputs)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training, validation and test data.

    Attributes:
        kind: Whether examples are images, or windows of a text.
        train: What is trained on.
        validation: What learning rates are chosen by.
        test: What is reported.
        outputs: How many classes or characters there are.
        context: Length of a window; 0 for images.
        shift: By how many pixels images are shifted at most, with zeros around; they are mirrored too. 0: neither.
    """

    kind: Literal["images", "language"]
    train: Examples
    validation: Examples
    test: Examples
    outputs: int
    context: int = 0
    shift: int = 0

    def only(self, classes: int) -> Dataset:
        """Return the same data with training images of the first classes only; what is evaluated stays as it is."""
        chosen = self.train.targets < classes
        return replace(self, train=Examples(self.train.inputs[chosen], self.train.targets[chosen]), outputs=classes)

    def steps(self, batch: int, most: int) -> int:
        """Return how many batches an epoch has: all there are, for images, and at most so many (0: no limit)."""
        whole = len(self.train) // (batch * max(1, self.context))
        return min(whole, most) if most else whole

    def epoch(self, batch: int, steps: int, seed: int, number: int) -> Iterator[Batch]:
        """Yield the batches of an epoch."""
        chance = torch.Generator().manual_seed(1_000_003 * seed + number)
        if self.kind == "language":
            for _ in range(steps):
                yield self._windows(
                    self.train, torch.randint(len(self.train) - self.context, (batch,), generator=chance)
                )
            return
        order = torch.randperm(len(self.train), generator=chance)
        for chosen in order[: steps * batch].split(batch):
            images = self._floats(self.train.inputs[chosen])
            yield self._augmented(images, chance) if self.shift else images, self.train.targets[chosen]

    def evaluation(self, examples: Examples, batch: int, most: int = 0) -> Iterator[Batch]:
        """Yield examples in order, without augmentation; at most so many windows or images (0: all)."""
        if self.kind == "language":
            starts = torch.arange(0, len(examples) - self.context, self.context)
            for chosen in (starts[:most] if most else starts).split(batch):
                yield self._windows(examples, chosen)
            return
        count = min(len(examples), most) if most else len(examples)
        for at in range(0, count, batch):
            chosen = slice(at, min(at + batch, count))
            yield self._floats(examples.inputs[chosen]), examples.targets[chosen]

    def _windows(self, text: Examples, starts: Tensor) -> Batch:
        places = starts[:, None] + torch.arange(self.context + 1)
        windows = text.inputs[places].long()
        return windows[:, :-1], windows[:, 1:]

    def _floats(self, images: Tensor) -> Tensor:
        return images.float().div_(64).sub_(2)  # about -2 to 2

    def _augmented(self, images: Tensor, chance: torch.Generator) -> Tensor:
        count, _, height, width = images.shape
        padded = torch.nn.functional.pad(images, [self.shift] * 4, value=-2.0)
        down, right = torch.randint(2 * self.shift + 1, (2, count, 1), generator=chance)
        mirrored = torch.rand(count, 1, generator=chance) < 0.5
        rows, columns = down + torch.arange(height), right + torch.arange(width)
        columns = torch.where(mirrored, columns.flip(1), columns)
        return padded[torch.arange(count)[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


# --- where they come from


def _cifar10(folder: Path) -> dict[str, Examples]:
    """Read CIFAR-10, as mosaics in lossless webp with labels in npy files, or as the usual pickles."""
    if (folder / "train_labels.npy").is_file():
        return {part: _mosaics(folder, part) for part in ("train", "test")}
    inside = folder / "cifar-10-batches-py"
    inside = inside if inside.is_dir() else folder
    names = {"train": [f"data_batch_{number}" for number in range(1, 6)], "test": ["test_batch"]}
    return {part: _pickles([inside / name for name in files]) for part, files in names.items()}


def _mosaics(folder: Path, part: str) -> Examples:
    from PIL import Image

    images = []
    for path in sorted(folder.glob(f"{part}_*.webp")):
        mosaic = np.asarray(Image.open(path).convert("RGB"))
        side = mosaic.shape[0] // SIDE
        tiles = mosaic.reshape(SIDE, side, SIDE, side, 3).transpose(0, 2, 4, 1, 3)
        images.append(tiles.reshape(SIDE * SIDE, 3, side, side))
    return _examples(np.concatenate(images), np.load(folder / f"{part}_labels.npy"))


def _pickles(paths: list[Path]) -> Examples:
    """Read the usual distribution, whose pickles run what is in them: only from a source that is trusted."""
    batches = [pickle.loads(path.read_bytes(), encoding="bytes") for path in paths]
    images = np.concatenate([batch[b"data"] for batch in batches]).reshape(-1, 3, 32, 32)
    return _examples(images, np.concatenate([np.asarray(batch[b"labels"]) for batch in batches]))


def _fashion_mnist(folder: Path) -> dict[str, Examples]:
    """Read Fashion-MNIST's idx files, gzipped or not."""
    names = {"train": "train", "test": "t10k"}
    return {
        part: _examples(_idx(folder / f"{name}-images-idx3-ubyte")[:, None], _idx(folder / f"{name}-labels-idx1-ubyte"))
        for part, name in names.items()
    }


def _idx(path: Path) -> np.ndarray:
    packed = path.with_name(f"{path.name}.gz")
    raw = gzip.decompress(packed.read_bytes()) if packed.is_file() else path.read_bytes()
    rank = raw[3]
    shape = np.frombuffer(raw, ">i4", rank, 4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * rank).reshape(shape)


def _synthetic_images(folder: Path) -> dict[str, Examples]:
    """Return small images of ten textures under noise, for tests."""
    del folder
    rng = np.random.default_rng(0)
    textures = rng.integers(0, 256, (10, 3, 12, 12))

    def draw(count: int) -> Examples:
        labels = rng.integers(0, 10, count)
        return _examples((textures[labels] + rng.integers(0, 256, (count, 3, 12, 12))) // 2, labels)

    return {"train": draw(320), "test": draw(100)}


def _examples(images: np.ndarray, labels: np.ndarray) -> Examples:
    return Examples(torch.from_numpy(images.astype(np.uint8)), torch.from_numpy(labels.astype(np.int64)))


def _shakespeare(folder: Path) -> str:
    path = folder if folder.is_file() else folder / "input.txt"
    return path.read_text("utf-8")


def _synthetic_text(folder: Path) -> str:
    """Return sums that are right, for tests."""
    del folder
    rng = np.random.default_rng(0)
    return "\n".join(f"{a}+{b}={a + b}" for a, b in rng.integers(0, 50, (900, 2)))


@dataclass(frozen=True)
class Source:
    """Where data comes from: how it is read, how much of its training data is for validation, how it is augmented."""

    read: Callable[[Path], dict[str, Examples] | str]
    folder: str = ""
    validation: float = 0.1
    shift: int = 0


SOURCES: Mapping[str, Source] = {
    "cifar10": Source(_cifar10, "cifar10", shift=3),
    "fashion-mnist": Source(_fashion_mnist, "/usr/share/dataset-fashion-mnist", shift=2),
    "shakespeare": Source(_shakespeare, "tinyshakespeare"),
    "synthetic-images": Source(_synthetic_images),
    "synthetic-text": Source(_synthetic_text),
}


@lru_cache(maxsize=2)
def load(name: str, folder: Path | None, context: int) -> Dataset:
    """Read a data set.

    Args:
        name: Which, as in ``SOURCES``.
        folder: Where it is; None for the usual place.
        context: The length of windows of a text.

    Raises:
        SystemExit: It is not there.
    """
    source = SOURCES[name]
    try:
        found = source.read(folder or Path(source.folder))
    except FileNotFoundError as failure:
        raise SystemExit(f"{name} is not there: {failure.filename}. Say where it is by --folder") from None
    if isinstance(found, str):
        return _text(found, source, context)
    train, test = found["train"], found["test"]
    last = round(len(train) * (1 - source.validation))
    parts = [Examples(train.inputs[part], train.targets[part]) for part in (slice(last), slice(last, None))]
    return Dataset("images", *parts, test, 10, shift=source.shift)


def _text(text: str, source: Source, context: int) -> Dataset:
    """Split a text in order: first training, then validation, then as much test."""
    characters = {character: number for number, character in enumerate(sorted(set(text)))}
    numbers = torch.tensor([characters[character] for character in text], dtype=torch.uint8)
    held = round(len(numbers) * source.validation / 2)
    parts = numbers.split([len(numbers) - 2 * held, held, held])
    return Dataset("language", *(Examples(part, part) for part in parts), len(characters), context)
