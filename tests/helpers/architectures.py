"""Twelve small PyTorch networks in the styles that people export, with widths that are arguments.

Together they have the layers whose weights exporters rename, transpose, pack, merge, cut or fold. Their values are
drawn, statistics of norms too, as training would leave them: no norm is plain, no bias zero.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn import functional

HEAD = 4  # the size of a head, which stays: more of them make a stream wider


class Mlp(nn.Module):
    """Dense layers with BatchNorm1d and Dropout, in an indexed Sequential."""

    def __init__(self, first: int = 12, second: int = 10) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(6, first), nn.BatchNorm1d(first), nn.ReLU(), nn.Dropout(0.3),
            nn.Linear(first, second, bias=False), nn.BatchNorm1d(second), nn.ReLU(), nn.Dropout(0.3),
            nn.Linear(second, 4),
        )  # fmt: skip

    def forward(self, x: Any) -> Any:
        return self.body(x)


class Cnn(nn.Module):
    """Convolutions with GroupNorm, InstanceNorm and PReLU, a bare scale, and a flattened image in front of the head."""

    def __init__(self, first: int = 8, second: int = 12) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(3, first, 3, padding=1), nn.GroupNorm(first // 2, first)
        self.conv2, self.norm2 = nn.Conv2d(first, second, 3, padding=1), nn.InstanceNorm2d(second, affine=True)
        self.act1, self.act2, self.scale = nn.PReLU(first), nn.PReLU(), nn.Parameter(torch.ones(second, 1, 1))
        self.head = nn.Linear(second * 16, 5)

    def forward(self, x: Any) -> Any:
        x = functional.max_pool2d(self.act1(self.norm1(self.conv1(x))), 2)
        return self.head((self.act2(self.norm2(self.conv2(x))) * self.scale).flatten(1))


class Basic(nn.Module):
    """A residual block, with a convolution in its shortcut where it changes the width."""

    def __init__(self, before: int, inner: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, inner, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, after, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.downsample = None
        if stride > 1:
            self.downsample = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))

    def forward(self, x: Any) -> Any:
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """Residual blocks with projections in their shortcuts, named as torchvision does."""

    def __init__(self, stem: int = 8, inner: int = 8, wide: int = 12, wide_inner: int = 12) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, stem, 3, padding=1, bias=False), nn.BatchNorm2d(stem)
        self.layer1 = nn.Sequential(Basic(stem, inner, stem, 1))
        self.layer2 = nn.Sequential(Basic(stem, wide_inner, wide, 2), Basic(wide, wide_inner, wide, 1))
        self.fc = nn.Linear(wide, 5)

    def forward(self, x: Any) -> Any:
        x = self.layer2(self.layer1(torch.relu(self.bn1(self.conv1(x)))))
        return self.fc(functional.adaptive_avg_pool2d(x, 1).flatten(1))


class Inverted(nn.Module):
    """An inverted residual: expanded, depthwise, squeezed and excited, projected."""

    def __init__(self, width: int, inner: int, squeezed: int) -> None:
        super().__init__()
        self.expand = nn.Sequential(nn.Conv2d(width, inner, 1, bias=False), nn.BatchNorm2d(inner), nn.Hardswish())
        depthwise = nn.Conv2d(inner, inner, 3, 1, 1, groups=inner, bias=False)
        self.depthwise = nn.Sequential(depthwise, nn.BatchNorm2d(inner), nn.Hardswish())
        self.fc1, self.fc2 = nn.Conv2d(inner, squeezed, 1), nn.Conv2d(squeezed, inner, 1)
        self.project = nn.Sequential(nn.Conv2d(inner, width, 1, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Any) -> Any:
        y = self.depthwise(self.expand(x))
        gate = functional.hardsigmoid(self.fc2(torch.relu(self.fc1(y.mean((2, 3), keepdim=True)))))
        return x + self.project(y * gate)


class MobileNet(nn.Module):
    """Depthwise convolutions with squeeze and excitation."""

    def __init__(self, width: int = 8, inner: int = 16, squeezed: int = 4) -> None:
        super().__init__()
        stem = (nn.Conv2d(3, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.Hardswish())
        self.features = nn.Sequential(nn.Sequential(*stem), *(Inverted(width, inner, squeezed) for _ in range(2)))
        self.classifier = nn.Linear(width, 5)

    def forward(self, x: Any) -> Any:
        return self.classifier(self.features(x).mean((2, 3)))


class Unit(nn.Module):
    """A convolution, its norm and its activation."""

    def __init__(self, before: int, after: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, after, kernel, padding=kernel // 2)
        self.bn = nn.BatchNorm2d(after, eps=1e-3)

    def forward(self, x: Any) -> Any:
        return functional.relu(self.bn(self.conv(x)))


class Inception(nn.Module):
    """Branches that are concatenated, each convolution with a bias and a BatchNorm behind it."""

    def __init__(self, stem: int = 8, one: int = 4, reduced: int = 6, three: int = 6, pooled: int = 4) -> None:
        super().__init__()
        self.stem = Unit(3, stem, 3)
        self.branch1 = Unit(stem, one, 1)
        self.branch3 = nn.Sequential(Unit(stem, reduced, 1), Unit(reduced, three, 3))
        self.branch_pool = Unit(stem, pooled, 1)
        self.fc = nn.Linear(one + three + pooled, 5)

    def forward(self, x: Any) -> Any:
        x = self.stem(x)
        pooled = functional.avg_pool2d(x, 3, 1, 1)
        x = torch.cat([self.branch1(x), self.branch3(x), self.branch_pool(pooled)], 1)
        return self.fc(torch.flatten(functional.adaptive_avg_pool2d(x, 1), 1))


class DenseNet(nn.Module):
    """Layers that read all before them, each behind a norm that cannot be folded."""

    def __init__(self, stem: int = 6, first: int = 4, second: int = 4) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(3, stem, 3, padding=1, bias=False)
        self.norm1, self.conv1 = nn.BatchNorm2d(stem), nn.Conv2d(stem, first, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(stem + first)
        self.conv2 = nn.Conv2d(stem + first, second, 3, padding=1, bias=False)
        self.norm5 = nn.BatchNorm2d(stem + first + second)
        self.classifier = nn.Linear(stem + first + second, 5)

    def forward(self, x: Any) -> Any:
        x = self.conv0(x)
        x = torch.cat([x, self.conv1(torch.relu(self.norm1(x)))], 1)
        x = torch.cat([x, self.conv2(torch.relu(self.norm2(x)))], 1)
        return self.classifier(torch.relu(self.norm5(x)).mean((2, 3)))


class UNet(nn.Module):
    """Down, and up by transposed convolutions, one of them with a norm behind it; skips are concatenated."""

    def __init__(self, shallow: int = 6, deep: int = 8, up: int = 6, merged: int = 6) -> None:
        super().__init__()
        self.down1, self.down2 = Unit(3, shallow, 3), Unit(shallow, deep, 3)
        self.up = nn.ConvTranspose2d(deep, up, 2, 2, bias=False)
        self.up_norm = nn.BatchNorm2d(up)
        self.merge = Unit(up + shallow, merged, 3)
        self.last = nn.ConvTranspose2d(merged, 2, 2, 2)

    def forward(self, x: Any) -> Any:
        skip = self.down1(x)
        x = torch.relu(self.up_norm(self.up(self.down2(functional.max_pool2d(skip, 2)))))
        return self.last(self.merge(torch.cat([x, skip], 1)))


class Encoder(nn.Module):
    """PyTorch's own Transformer layers, behind a learned table of positions that is no module's."""

    def __init__(self, width: int = 16, inner: int = 20) -> None:
        super().__init__()
        self.into = nn.Linear(5, width)
        self.positions = nn.Parameter(torch.zeros(1, 12, width))
        layer = nn.TransformerEncoderLayer(
            width, width // HEAD, inner, batch_first=True, norm_first=True, activation="gelu"
        )
        self.encoder = nn.TransformerEncoder(layer, 2, norm=nn.LayerNorm(width), enable_nested_tensor=False)
        self.out = nn.Linear(width, 3)

    def forward(self, x: Any) -> Any:
        return self.out(self.encoder(self.into(x) + self.positions[:, : x.shape[1]]))


class CausalBlock(nn.Module):
    """Attention with packed queries, keys and values, and a buffer that masks; then a perceptron."""

    def __init__(self, width: int, inner: int, longest: int) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.fc_in, self.fc_out = nn.Linear(width, inner), nn.Linear(inner, width)
        self.register_buffer("mask", torch.tril(torch.ones(longest, longest)).bool())

    def forward(self, x: Any) -> Any:
        batch, length, width = x.shape
        heads = self.qkv(self.ln_1(x)).view(batch, length, 3, width // HEAD, HEAD).permute(2, 0, 3, 1, 4)
        query, key, value = heads.unbind(0)
        scores = query @ key.transpose(-1, -2) * HEAD**-0.5
        scores = scores.masked_fill(~self.mask[:length, :length], -1e9).softmax(-1)
        x = x + self.proj((scores @ value).transpose(1, 2).reshape(batch, length, width))
        return x + self.fc_out(functional.gelu(self.fc_in(self.ln_2(x)), approximate="tanh"))


class Gpt(nn.Module):
    """A decoder whose head is its embedding, and whose table of positions is longer than what is exported."""

    def __init__(self, width: int = 16, inner: int = 20, *, tied: bool = True) -> None:
        super().__init__()
        self.wte, self.wpe = nn.Embedding(23, width), nn.Embedding(12, width)
        self.h = nn.ModuleList(CausalBlock(width, inner, 12) for _ in range(2))
        self.ln_f, self.head = nn.LayerNorm(width), nn.Linear(width, 23, bias=False)
        if tied:
            self.head.weight = self.wte.weight

    def forward(self, x: Any) -> Any:
        x = self.wte(x) + self.wpe(torch.arange(x.shape[1]))
        for block in self.h:
            x = block(x)
        return self.head(self.ln_f(x))


class Recurrent(nn.Module):
    """A classifier of two LSTM layers in both directions, with a GRU behind them."""

    def __init__(self, embedded: int = 8, hidden: int = 6, last: int = 6) -> None:
        super().__init__()
        self.embedding = nn.Embedding(23, embedded)
        self.lstm = nn.LSTM(embedded, hidden, num_layers=2, bidirectional=True, batch_first=True)
        self.gru = nn.GRU(2 * hidden, last, batch_first=True)
        self.fc = nn.Linear(last, 3)

    def forward(self, x: Any) -> Any:
        return self.fc(self.gru(self.lstm(self.embedding(x))[0])[0][:, -1])


class VitBlock(nn.Module):
    """MultiheadAttention and a perceptron behind norms, with biases that are written out."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.attn = nn.MultiheadAttention(width, width // HEAD, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, width))

    def forward(self, x: Any) -> Any:
        y = self.norm1(x)
        x = x + self.attn(y, y, y, need_weights=False)[0]
        return x + self.mlp(self.norm2(x))


class Vit(nn.Module):
    """Patches, a class token and a table of positions: bare parameters that are broadcast over a batch."""

    def __init__(self, width: int = 16, inner: int = 20) -> None:
        super().__init__()
        self.patch_embed = nn.Conv2d(3, width, 4, 4)
        self.cls_token, self.pos_embed = nn.Parameter(torch.zeros(1, 1, width)), nn.Parameter(torch.zeros(1, 5, width))
        self.blocks = nn.Sequential(*(VitBlock(width, inner) for _ in range(2)))
        self.norm, self.head = nn.LayerNorm(width, eps=1e-6), nn.Linear(width, 5)

    def forward(self, x: Any) -> Any:
        x = self.patch_embed(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], 1) + self.pos_embed
        return self.head(self.norm(self.blocks(x))[:, 0])


class LayerNorm2d(nn.LayerNorm):
    """LayerNorm over the channels of an image."""

    def forward(self, x: Any) -> Any:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class NextBlock(nn.Module):
    """A depthwise convolution, a norm over channels, a perceptron, and a bare scale of the branch."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.pwconv1, self.pwconv2 = nn.Linear(width, inner), nn.Linear(inner, width)
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x: Any) -> Any:
        y = self.norm(self.dwconv(x).permute(0, 2, 3, 1))
        return x + (self.gamma * self.pwconv2(functional.gelu(self.pwconv1(y)))).permute(0, 3, 1, 2)


class ConvNext(nn.Module):
    """Depthwise convolutions and LayerNorm over channels."""

    def __init__(self, first: int = 8, first_inner: int = 12, second: int = 12, second_inner: int = 16) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, first, 2, 2), LayerNorm2d(first, eps=1e-6))
        self.downsample = nn.Sequential(LayerNorm2d(first, eps=1e-6), nn.Conv2d(first, second, 2, 2))
        self.stages = nn.ModuleList([NextBlock(first, first_inner), NextBlock(second, second_inner)])
        self.norm, self.head = nn.LayerNorm(second, eps=1e-6), nn.Linear(second, 5)

    def forward(self, x: Any) -> Any:
        x = self.stages[1](self.downsample(self.stages[0](self.stem(x))))
        return self.head(self.norm(x.mean((-2, -1))))


@dataclass(frozen=True)
class Architecture:
    """A network whose widths are arguments.

    Attributes:
        make: Its class.
        example: The shape of an input.
        sizes: For every width the tensor that has it, and along which axis.
        factor: By how much it is widened; a whole number where norms see all of a stream, so that their epsilon stays.
        tokens: How many there are, if the input is made of these.
        exclude: What stays as it is.
        options: Further arguments of the larger class.
    """

    make: Callable[..., Any]
    example: tuple[int, ...]
    sizes: Mapping[str, tuple[str, int]]
    factor: float = 1.5
    tokens: int = 0
    exclude: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    def wider(self, shapes: Mapping[str, tuple[int, ...]]) -> Any:
        """Build the class at the widths that a checkpoint has."""
        return self.make(**{name: shapes[tensor][axis] for name, (tensor, axis) in self.sizes.items()}, **self.options)


HEADS = ("*qk_dim", "*v_dim")  # what is in a head
IMAGES = (3, 3, 8, 8)

ARCHITECTURES = {
    "mlp": Architecture(Mlp, (3, 6), {"first": ("body.0.weight", 0), "second": ("body.4.weight", 0)}),
    "cnn": Architecture(Cnn, IMAGES, {"first": ("conv1.weight", 0), "second": ("conv2.weight", 0)}),
    "resnet": Architecture(
        ResNet, IMAGES,
        {"stem": ("conv1.weight", 0), "inner": ("layer1.0.conv1.weight", 0), "wide": ("fc.weight", 1),
         "wide_inner": ("layer2.0.conv1.weight", 0)},
    ),
    "mobilenet": Architecture(
        MobileNet, IMAGES,
        {"width": ("classifier.weight", 1), "inner": ("features.1.fc2.weight", 0),
         "squeezed": ("features.1.fc1.weight", 0)},
    ),
    "inception": Architecture(
        Inception, IMAGES,
        {"stem": ("stem.bn.weight", 0), "one": ("branch1.bn.weight", 0), "reduced": ("branch3.0.bn.weight", 0),
         "three": ("branch3.1.bn.weight", 0), "pooled": ("branch_pool.bn.weight", 0)},
    ),
    "densenet": Architecture(
        DenseNet, IMAGES,
        {"stem": ("conv0.weight", 0), "first": ("conv1.weight", 0), "second": ("conv2.weight", 0)},
    ),
    "unet": Architecture(
        UNet, IMAGES,
        {"shallow": ("down1.bn.weight", 0), "deep": ("down2.bn.weight", 0), "up": ("up_norm.weight", 0),
         "merged": ("merge.bn.weight", 0)},
    ),
    "encoder": Architecture(
        Encoder, (3, 7, 5), {"width": ("into.weight", 0), "inner": ("encoder.layers.0.linear1.weight", 0)}, 2,
        exclude=HEADS,
    ),
    "gpt": Architecture(
        Gpt, (3, 7), {"width": ("wte.weight", 1), "inner": ("h.0.fc_in.weight", 0)}, 2, tokens=23, exclude=HEADS,
        options={"tied": False},
    ),
    "recurrent": Architecture(
        Recurrent, (3, 7),
        {"embedded": ("embedding.weight", 1), "hidden": ("lstm.weight_hh_l0", 1), "last": ("gru.weight_hh_l0", 1)},
        tokens=23,
    ),
    "vit": Architecture(
        Vit, IMAGES, {"width": ("cls_token", 2), "inner": ("blocks.0.mlp.0.weight", 0)}, 2, exclude=HEADS,
    ),
    "convnext": Architecture(
        ConvNext, IMAGES,
        {"first": ("stem.0.weight", 0), "first_inner": ("stages.0.pwconv1.weight", 0), "second": ("head.weight", 1),
         "second_inner": ("stages.1.pwconv1.weight", 0)}, 2,
    ),
}  # fmt: skip

# What no file has under its own name.
TIED = {"gpt": {"head.weight": "wte.weight"}}  # one parameter in two places: a module made of a file has it once
TABLES = {"gpt": {"h.0.mask", "h.1.mask"}}  # truth values decide what a graph does, and are no tensors of a module
