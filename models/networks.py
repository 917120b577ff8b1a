"""The networks behind the golden models: one per way in which a width runs through a graph.

Widths are uneven, so that factors round; and some equal the image's height (16 channels of 16x16, 8 of 8x8), so that
whoever matches axes by size and not by position gets them wrong.
"""

# ruff: noqa: D102  (`forward` is described by its class)

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional


def conv_bn(
    inputs: int,
    outputs: int,
    kernel: int | tuple[int, int] = 3,
    *,
    stride: int = 1,
    groups: int = 1,
    activation: type[nn.Module] | None = nn.ReLU,
) -> nn.Sequential:
    """A convolution that keeps the image's size (divided by `stride`), batch normalisation, and an activation."""
    height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, (height, width), stride, (height // 2, width // 2), groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    if activation is not None:
        layers.append(activation())
    return nn.Sequential(*layers)


class InceptionModule(nn.Module):
    """Four branches side by side: 1x1, 3x3, a rectangular pair 1xn then nx1, and pooling."""

    def __init__(self, inputs: int, single: int, square: int, rectangular: int, pooled: int, length: int) -> None:
        super().__init__()
        self.single = conv_bn(inputs, single, 1)
        self.square = nn.Sequential(conv_bn(inputs, square // 2, 1), conv_bn(square // 2, square, 3))
        self.rectangular = nn.Sequential(
            conv_bn(inputs, rectangular // 2, 1),
            conv_bn(rectangular // 2, rectangular, (1, length)),
            conv_bn(rectangular, rectangular, (length, 1)),
        )
        self.pooled = nn.Sequential(nn.AvgPool2d(3, stride=1, padding=1), conv_bn(inputs, pooled, 1))
        self.outputs = single + square + rectangular + pooled

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.single(x), self.square(x), self.rectangular(x), self.pooled(x)], dim=1)


class InceptionBN(nn.Module):
    """Inception with batch normalisation and factorised kernels: a sum of widths feeds every branch."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv_bn(1, 20, 3), nn.MaxPool2d(3, stride=2, padding=1))
        first = InceptionModule(20, single=12, square=20, rectangular=16, pooled=8, length=7)
        second = InceptionModule(first.outputs, single=20, square=28, rectangular=20, pooled=12, length=5)
        third = InceptionModule(second.outputs, single=24, square=36, rectangular=28, pooled=16, length=5)
        self.body = nn.Sequential(first, second, nn.MaxPool2d(2), third)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(third.outputs, classes)

    def forward(self, image: Tensor) -> Tensor:
        return self.head(torch.flatten(self.pool(self.body(self.stem(image))), 1))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut, which is a 1x1 projection where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = conv_bn(inputs, outputs, 3, stride=stride)
        self.second = conv_bn(outputs, outputs, 3, activation=None)
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else conv_bn(inputs, outputs, 1, stride=stride, activation=None)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.second(self.first(x)) + self.shortcut(x))


class ResNet(nn.Module):
    """Basic residual blocks: every writer to a stream must grow with it."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.stem = conv_bn(1, 14, 3)
        self.stages = nn.Sequential(
            BasicBlock(14, 14, 1),
            BasicBlock(14, 14, 1),
            BasicBlock(14, 28, 2),
            BasicBlock(28, 28, 1),
            BasicBlock(28, 52, 2),
            BasicBlock(52, 52, 1),
        )
        self.head = nn.Linear(52, classes)

    def forward(self, image: Tensor) -> Tensor:
        return self.head(self.stages(self.stem(image)).mean(dim=(2, 3)))


class SqueezeExcitation(nn.Module):
    """Scales each channel by a gate computed from the mean of all channels."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.expand = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        squeezed = functional.relu(self.reduce(functional.adaptive_avg_pool2d(x, 1)))
        return x * functional.hardsigmoid(self.expand(squeezed))


class InvertedResidual(nn.Module):
    """Expand by 1x1, filter each channel by itself, gate, and project back with no activation."""

    def __init__(
        self, inputs: int, hidden: int, outputs: int, kernel: int, stride: int, activation: type[nn.Module]
    ) -> None:
        super().__init__()
        self.residual = stride == 1 and inputs == outputs
        self.layers = nn.Sequential(
            conv_bn(inputs, hidden, 1, activation=activation),
            conv_bn(hidden, hidden, kernel, stride=stride, groups=hidden, activation=activation),
            SqueezeExcitation(hidden, hidden // 4),
            conv_bn(hidden, outputs, 1, activation=None),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x) if self.residual else self.layers(x)


class MobileSE(nn.Module):
    """Depthwise blocks with squeeze and excitation: the number of groups itself grows."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            conv_bn(1, 16, 3, activation=nn.Hardswish),
            InvertedResidual(16, 40, 16, kernel=3, stride=1, activation=nn.ReLU6),
            InvertedResidual(16, 56, 28, kernel=3, stride=2, activation=nn.ReLU6),
            InvertedResidual(28, 84, 28, kernel=5, stride=1, activation=nn.Hardswish),
            InvertedResidual(28, 100, 44, kernel=5, stride=2, activation=nn.Hardswish),
            InvertedResidual(44, 132, 44, kernel=3, stride=1, activation=nn.Hardswish),
            conv_bn(44, 120, 1, activation=nn.Hardswish),
        )
        self.head = nn.Linear(120, classes)

    def forward(self, image: Tensor) -> Tensor:
        return self.head(torch.flatten(functional.adaptive_avg_pool2d(self.layers(image), 1), 1))


class DenseLayer(nn.Module):
    """Batch normalisation comes first here: it normalises a concatenation, and no convolution can absorb it."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(inputs)
        self.squeeze = nn.Conv2d(inputs, 4 * growth, 1, bias=False)
        self.squeezed_norm = nn.BatchNorm2d(4 * growth)
        self.conv = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        squeezed = self.squeeze(functional.relu(self.norm(x)))
        return torch.cat([x, self.conv(functional.relu(self.squeezed_norm(squeezed)))], dim=1)


class DenseNet(nn.Module):
    """Concatenations of concatenations, halved between blocks by a 1x1 convolution and average pooling."""

    def __init__(self, classes: int = 10, width: int = 18, growth: int = 10, blocks: int = 3, depth: int = 4) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(1, width, 3, padding=1, bias=False)]
        for block in range(blocks):
            if block:
                halve = nn.Conv2d(width, width // 2, 1, bias=False)
                layers += [nn.BatchNorm2d(width), nn.ReLU(), halve, nn.AvgPool2d(2)]
                width //= 2
            for _ in range(depth):
                layers.append(DenseLayer(width, growth))
                width += growth
        self.features = nn.Sequential(*layers, nn.BatchNorm2d(width))
        self.head = nn.Linear(width, classes)

    def forward(self, image: Tensor) -> Tensor:
        features = functional.relu(self.features(image))
        pooled = functional.avg_pool2d(features, 4)
        # The batch's size is asked at run time: old exports are full of Shape -> Gather -> Concat -> Reshape.
        return self.head(pooled.view(pooled.size(0), -1))


class UNet(nn.Module):
    """Down by max pooling, up by transposed convolution, across by concatenation; one logit per pixel."""

    def __init__(self, widths: tuple[int, ...] = (12, 22, 44)) -> None:
        super().__init__()
        pairs = list(pairwise(widths))
        self.enter = self._double(1, widths[0])
        self.down = nn.ModuleList(self._double(outer, inner) for outer, inner in pairs)
        self.up = nn.ModuleList(
            nn.Sequential(nn.ConvTranspose2d(inner, outer, 2, stride=2, bias=False), nn.BatchNorm2d(outer), nn.ReLU())
            for outer, inner in reversed(pairs)
        )
        self.merge = nn.ModuleList(self._double(2 * outer, outer) for outer, _ in reversed(pairs))
        self.head = nn.Conv2d(widths[0], 1, 1)

    @staticmethod
    def _double(inputs: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(conv_bn(inputs, outputs), conv_bn(outputs, outputs))

    def forward(self, image: Tensor) -> Tensor:
        x = self.enter(image)
        skips = []
        for down in self.down:
            skips.append(x)
            x = down(functional.max_pool2d(x, 2))
        for up, merge in zip(self.up, self.merge, strict=True):
            x = merge(torch.cat([skips.pop(), up(x)], dim=1))
        return self.head(x)
