"""What a grown GPT could be given in its new places instead: what `exchange` compares with what the product gives them.

All but ``stacked`` compute what the teacher does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

Variant = Literal["product", "drawn", "paired", "stacked"]
READ = {"out": ("query", "key", "value"), "down": ("up",)}  # what makes the channels that a layer reads
LOUD = 0.5  # an outgoing weight's deviation, times the root of one over its inputs


def vary(net: nn.Module, variant: Variant, new: Mapping[str, Tensor], like: Mapping[str, str], head: int) -> None:
    """Change the new places of a grown GPT, by numbers of PyTorch's generator.

    Args:
        net: The network.
        variant: ``drawn``: incoming weights as from scratch; ``paired``: new heads and new channels of feed-forward
            layers two by two, with equal incoming weights, and outgoing ones that cancel; ``stacked``: a new block
            gives what the one gives that it is like.
        new: For each parameter, which places are new: bool, of its shape.
        like: For each parameter of a new block the one that it is like.
        head: Channels of a head.
    """
    parameters = dict(net.named_parameters())
    with torch.no_grad():
        for name, values in parameters.items():
            stem, _, kind = name.rpartition(".")
            block, _, layer = stem.rpartition(".")
            if variant == "stacked" and name in like and layer in READ:
                values.copy_(parameters[like[name]])
            if variant == "drawn" and layer in {"query", "key", "value", "up"}:
                fresh = torch.randn_like(values) * values.shape[-1] ** -0.5 if kind == "weight" else 0 * values
                values.copy_(torch.where(new[name], fresh, values))
            if variant == "paired" and layer in READ and kind == "weight":
                channels = new[name].all(0).nonzero().flatten()
                first, second = channels.view(-1, 2, head if layer == "out" else 1).unbind(1)
                outgoing = torch.randn(len(values), first.numel()) * LOUD * values.shape[1] ** -0.5
                values[:, first.flatten()], values[:, second.flatten()] = outgoing, -outgoing
                for each in READ[layer]:
                    for incoming in (parameters[f"{block}.{each}.weight"], parameters[f"{block}.{each}.bias"]):
                        incoming[second.flatten()] = incoming[first.flatten()]
