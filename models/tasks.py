"""What the golden models learn: data that comes with scikit-learn, a loss, and a score."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor
from torch.nn import functional

DATA_SEED = 20160502
TEST_SHARE = 0.2
CLUTTERS = 3  # how often each training digit is drawn for segmentation, every time among other strokes


@dataclass(frozen=True)
class Samples:
    """Images `[n, 1, height, width]` in 0..1 and one target each."""

    inputs: Tensor
    targets: Tensor


@dataclass(frozen=True)
class Task:
    """Data with a fixed split, what to minimise, and what to report."""

    name: str
    data: str
    metric: str
    train: Samples
    test: Samples
    loss: Callable[[Tensor, Tensor], Tensor]
    score: Callable[[Tensor, Tensor], float]
    baseline: float
    baseline_is: str


@cache
def classification() -> Task:
    """Which digit is it? Images are enlarged from 8x8 to 16x16."""
    train, test = _digits()
    commonest = torch.bincount(train.targets).argmax()
    return Task(
        name="classify handwritten digits, 16x16",
        data="scikit-learn load_digits",
        metric="accuracy",
        train=train,
        test=test,
        loss=functional.cross_entropy,
        score=accuracy,
        baseline=float((test.targets == commonest).float().mean()),
        baseline_is="always the commonest class",
    )


@cache
def segmentation() -> Task:
    """Which pixels belong to the digit, in an image that also holds other strokes and noise?"""
    random = np.random.default_rng(DATA_SEED)
    train_digits, test_digits = _digits()
    train = _clutter(train_digits.inputs.repeat(CLUTTERS, 1, 1, 1), random)
    test = _clutter(test_digits.inputs, random)
    thresholds = torch.linspace(0, 1, 101)
    best = max(thresholds, key=lambda threshold: intersection_over_union(train.inputs - threshold, train.targets))
    return Task(
        name="segment the strokes of a digit among clutter and noise, 32x32",
        data="scikit-learn load_digits, drawn onto clutter",
        metric="intersection over union",
        train=train,
        test=test,
        loss=functional.binary_cross_entropy_with_logits,
        score=intersection_over_union,
        baseline=intersection_over_union(test.inputs - best, test.targets),
        baseline_is=f"pixels brighter than {best:.2f}, the best threshold on the training images",
    )


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """The share of samples whose largest logit is the right one."""
    return float((logits.argmax(dim=1) == labels).double().mean())


def intersection_over_union(logits: Tensor, mask: Tensor) -> float:
    """Intersection over union of the positive logits and the mask, over all pixels of all samples together."""
    found, wanted = logits > 0, mask > 0.5
    return float((found & wanted).sum() / (found | wanted).sum())


def _digits() -> tuple[Samples, Samples]:
    """The training and the test digits, every class in the same proportion in both."""
    pixels, labels = load_digits(return_X_y=True)
    images = torch.from_numpy(pixels / 16).float().reshape(-1, 1, 8, 8)
    images = functional.interpolate(images, scale_factor=2, mode="bilinear")
    rows = np.arange(len(labels))
    splits = train_test_split(rows, test_size=TEST_SHARE, random_state=DATA_SEED, stratify=labels)
    targets = torch.from_numpy(labels)
    train, test = (Samples(images[chosen], targets[chosen]) for chosen in splits)
    return train, test


def _clutter(digits: Tensor, random: np.random.Generator) -> Samples:
    """Each digit somewhere on a canvas of twice its size, with straight strokes and noise; the target is its mask."""
    count, _, size, _ = digits.shape
    images = np.zeros((count, 1, 2 * size, 2 * size), np.float32)
    masks = np.zeros_like(images)
    for digit, image, mask in zip(digits.numpy(), images, masks, strict=True):
        top, left = random.integers(0, size, 2, endpoint=True)
        mask[:, top : top + size, left : left + size] = digit > 0.5
        for _ in range(6):
            _draw_stroke(image[0], random)
        window = image[:, top : top + size, left : left + size]
        np.maximum(window, digit, out=window)
    images += random.normal(0, 0.15, images.shape)
    # Eight bits, as in a real photograph; it also makes the recorded inputs compress.
    rounded = (images.clip(0, 1) * 255).round() / 255
    return Samples(torch.from_numpy(rounded), torch.from_numpy(masks))


def _draw_stroke(canvas: np.ndarray, random: np.random.Generator) -> None:
    """Draw one straight stroke, two pixels wide and as bright as a digit's."""
    start, angle = random.uniform(0, len(canvas) - 2, 2), random.uniform(0, 2 * np.pi)
    for step in range(random.integers(4, 14)):
        row, column = (start + step * np.array([np.sin(angle), np.cos(angle)])).round().astype(int)
        if 0 <= row < len(canvas) - 1 and 0 <= column < len(canvas) - 1:
            canvas[row : row + 2, column : column + 2] = random.uniform(0.5, 1.0)
