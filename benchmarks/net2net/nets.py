"""The networks: classes of one's own, built at the sizes that a specification says, or that a checkpoint has.

Their parameters are named so that the product's own names for new layers fit: a pair of rectangular layers behind
``high`` is ``high_deeper`` and ``high_deeper2``, a copy of a block is the next number.
"""

# ruff: noqa: D102  (`forward` is described by its class)

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import count, takewhile
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

CUT = 0.3**0.5  # of the channels of the wider experiment's teacher, by the paper
State = Mapping[str, Tensor]


# --- Inception with batch normalisation


@dataclass(frozen=True)
class Widths:
    """The channels of one Inception module's layers, and the length n of its 1xn and nx1 kernels."""

    single: int
    square_in: int
    square: int
    narrow: int
    wide: int
    high: int
    pooled: int
    length: int

    def cut(self, factor: float) -> Widths:
        """Return all widths times a factor."""
        names = ("single", "square_in", "square", "narrow", "wide", "high", "pooled")
        return replace(self, **{name: max(1, round(getattr(self, name) * factor)) for name in names})

    @property
    def outputs(self) -> int:
        """The channels of the branches side by side."""
        return self.single + self.square + self.high + self.pooled


@dataclass(frozen=True)
class InceptionSpec:
    """The sizes of an Inception-BN.

    Attributes:
        stem: Channels of the convolution before the modules, which the paper does not cut.
        stages: The modules, between which the image is halved.
        pairs: Pairs of rectangular layers that stand behind the one that every module has.
        colours: Channels of the image.
        classes: What it tells apart.
        stride: Of the convolution before the modules.
    """

    stem: int
    stages: tuple[tuple[Widths, ...], ...]
    pairs: int = 0
    colours: int = 3
    classes: int = 10
    stride: int = 1

    def cut(self, factor: float) -> InceptionSpec:
        """Return the same network with the channels of its modules times a factor."""
        return replace(self, stages=tuple(tuple(each.cut(factor) for each in stage) for stage in self.stages))

    def build(self) -> nn.Module:
        """Return a fresh network."""
        return Inception(self)

    def like(self, state: State, epsilon: float | None = None) -> InceptionSpec:
        """Return the sizes that a checkpoint has."""
        del epsilon  # norms of batches take no part in how channels grow
        stages, number = [], 0
        for stage in self.stages:
            modules = []
            for _ in stage:
                modules.append(_widths(state, f"modules_.{number}"))
                number += 1
            stages.append(tuple(modules))
        behind = takewhile(lambda name: f"{name}.weight" in state, (f"modules_.0.high{s}" for s in suffixes()))
        return replace(
            self, stem=state["stem.weight"].shape[0], stages=tuple(stages), pairs=sum(1 for _ in behind) // 2,
            classes=state["head.weight"].shape[0],
        )  # fmt: skip

    def targets(self) -> dict[str, int]:
        """Return the channels that layers make, by the layer's name."""
        return {
            name.removesuffix(".weight"): tensor.shape[0]
            for name, tensor in self.build().state_dict().items()
            if tensor.ndim == 4
        }


def suffixes() -> list[str]:
    """Return how layers are called that are put in behind another one."""
    return ["_deeper", *(f"_deeper{number}" for number in range(2, 17))]


def _widths(state: State, name: str) -> Widths:
    layers = ("single", "square_in", "square", "narrow", "wide", "high", "pooled")
    sizes = {layer: state[f"{name}.{layer}.weight"].shape[0] for layer in layers}
    return Widths(**sizes, length=state[f"{name}.wide.weight"].shape[3])


class Module(nn.Module):
    """Four branches side by side: 1x1, 3x3, a rectangular pair 1xn then nx1 with more pairs behind it, and pooling."""

    def __init__(self, inputs: int, widths: Widths, pairs: int) -> None:
        super().__init__()
        n, self.pairs = widths.length, pairs
        self._layer("single", inputs, widths.single, (1, 1))
        self._layer("square_in", inputs, widths.square_in, (1, 1))
        self._layer("square", widths.square_in, widths.square, (3, 3))
        self._layer("narrow", inputs, widths.narrow, (1, 1))
        self._layer("wide", widths.narrow, widths.wide, (1, n))
        self._layer("high", widths.wide, widths.high, (n, 1))
        for number, suffix in enumerate(suffixes()[: 2 * pairs]):
            self._layer(f"high{suffix}", widths.high, widths.high, (n, 1) if number % 2 else (1, n))
        self._layer("pooled", inputs, widths.pooled, (1, 1))

    def _layer(self, name: str, inputs: int, outputs: int, kernel: tuple[int, int]) -> None:
        padding = (kernel[0] // 2, kernel[1] // 2)
        self.add_module(name, nn.Conv2d(inputs, outputs, kernel, padding=padding, bias=False))
        self.add_module(_norm(name), nn.BatchNorm2d(outputs))

    def _run(self, name: str, x: Tensor) -> Tensor:
        return functional.relu(getattr(self, _norm(name))(getattr(self, name)(x)))

    def forward(self, x: Tensor) -> Tensor:
        high = self._run("high", self._run("wide", self._run("narrow", x)))
        for suffix in suffixes()[: 2 * self.pairs]:
            high = self._run(f"high{suffix}", high)
        square = self._run("square", self._run("square_in", x))
        pooled = self._run("pooled", functional.avg_pool2d(x, 3, stride=1, padding=1))
        return torch.cat([self._run("single", x), square, high, pooled], dim=1)


def _norm(layer: str) -> str:
    """Return the name of a layer's norm: ``high_norm_deeper`` for ``high_deeper``."""
    stem, mark, number = layer.partition("_deeper")
    return f"{stem}_norm{mark}{number}"


class Inception(nn.Module):
    """Inception with batch normalisation and factorised kernels, for small images."""

    def __init__(self, spec: InceptionSpec) -> None:
        super().__init__()
        self.stem = nn.Conv2d(spec.colours, spec.stem, 3, spec.stride, padding=1, bias=False)
        self.stem_norm = nn.BatchNorm2d(spec.stem)
        self.modules_, channels, self.ends = nn.ModuleList(), spec.stem, []
        for stage in spec.stages:
            for widths in stage:
                self.modules_.append(Module(channels, widths, spec.pairs))
                channels = widths.outputs
            self.ends.append(len(self.modules_))
        self.head = nn.Linear(channels, spec.classes)

    def forward(self, image: Tensor) -> Tensor:
        x = functional.max_pool2d(functional.relu(self.stem_norm(self.stem(image))), 2)
        for number, module in enumerate(self.modules_, start=1):
            x = module(x)
            if number in self.ends[:-1]:
                x = functional.max_pool2d(x, 2)
        return self.head(x.mean((2, 3)))


# --- a small GPT


@dataclass(frozen=True)
class GPTSpec:
    """The sizes of a GPT over characters.

    Attributes:
        width: Of the residual stream.
        heads: How many, each of ``head`` channels.
        inner: Width of the feed-forward layers.
        layers: How many blocks.
        context: How many characters it sees.
        head: Channels of a head, which does not grow: there are more heads.
        epsilon: Of the norms; it has to follow where the stream grew by a factor that is not whole.
        vocabulary: How many characters there are.
        start: How a fresh network begins: as usual, or with incoming weights that keep variances and with outgoing ones
            of zero (``quiet``) or of half that size (``loud``).
    """

    width: int
    heads: int
    inner: int
    layers: int
    context: int
    head: int = 16
    epsilon: float = 1e-5
    vocabulary: int = 65
    start: Literal["usual", "quiet", "loud"] = "usual"

    def build(self) -> nn.Module:
        """Return a fresh network."""
        return GPT(self)

    def like(self, state: State, epsilon: float | None = None) -> GPTSpec:
        """Return the sizes that a checkpoint has; the epsilon of norms is none of them."""
        inner, width = state["blocks.0.up.weight"].shape
        layers = sum(1 for _ in takewhile(lambda n: f"blocks.{n}.up.weight" in state, count()))
        heads = state["blocks.0.query.weight"].shape[0] // self.head
        return replace(self, width=width, heads=heads, inner=inner, layers=layers, epsilon=epsilon or self.epsilon)


class Block(nn.Module):
    """Attention and a feed-forward layer, each behind a norm and beside the stream."""

    def __init__(self, spec: GPTSpec) -> None:
        super().__init__()
        inside, self.head = spec.heads * spec.head, spec.head
        self.norm1, self.norm2 = (nn.LayerNorm(spec.width, eps=spec.epsilon) for _ in range(2))
        self.query, self.key, self.value = (nn.Linear(spec.width, inside) for _ in range(3))
        self.out = nn.Linear(inside, spec.width)
        self.up, self.down = nn.Linear(spec.width, spec.inner), nn.Linear(spec.inner, spec.width)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, _ = x.shape
        y = self.norm1(x)
        heads = (layer(y).view(batch, length, -1, self.head).transpose(1, 2) for layer in self._inputs())
        mixed = functional.scaled_dot_product_attention(*heads, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, length, -1))
        return x + self.down(functional.gelu(self.up(self.norm2(x))))

    def _inputs(self) -> tuple[nn.Module, nn.Module, nn.Module]:
        return self.query, self.key, self.value


class GPT(nn.Module):
    """A decoder that says at each place which character comes next; the head is not tied to the embedding."""

    def __init__(self, spec: GPTSpec) -> None:
        super().__init__()
        self.embed = nn.Embedding(spec.vocabulary, spec.width)
        self.place = nn.Embedding(spec.context, spec.width)
        self.blocks = nn.ModuleList(Block(spec) for _ in range(spec.layers))
        self.norm = nn.LayerNorm(spec.width, eps=spec.epsilon)
        self.head = nn.Linear(spec.width, spec.vocabulary, bias=False)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                nn.init.normal_(parameter, std=self._deviation(name, spec))
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def _deviation(self, name: str, spec: GPTSpec) -> float:
        """Return the standard deviation of a fresh weight."""
        last, inputs = name.endswith(("out.weight", "down.weight")), self.get_parameter(name).shape[1]
        if spec.start == "usual":
            return 0.02 / (2 * spec.layers) ** 0.5 if last else 0.02
        if last:
            return 0.0 if spec.start == "quiet" else 0.5 * inputs**-0.5
        return {"embed.weight": 0.5, "place.weight": 0.1, "head.weight": 0.0}.get(name, inputs**-0.5)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens) + self.place.weight[: tokens.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


Spec = InceptionSpec | GPTSpec
