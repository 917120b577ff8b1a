"""How different the channels of a network are: effective rank, channels that say nearly the same, exact clones."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

import onnx_n2n
from net2net.data import Dataset
from net2net.grow import export

SAMPLE = 4096  # places at which channels are compared
EXAMPLES = 256
NEAR = 0.999  # correlation from which on two channels are nearly the same


def effective_rank(matrix: Tensor) -> float:
    """Return exp of the entropy of the singular values, over the most there can be.

    Source: O. Roy, M. Vetterli, *The effective rank*, EUSIPCO 2007.
    """
    values = torch.linalg.svdvals(matrix.double())
    shares = values / values.sum().clamp_min(1e-30)
    entropy = -(shares * shares.clamp_min(1e-30).log()).sum()
    return float(entropy.exp()) / min(matrix.shape)


def near_clones(activations: Tensor) -> int:
    """Return how many channels are nearly the same as another one, over [places, channels]; dead ones are left out."""
    centred = activations.double() - activations.double().mean(0)
    length = centred.norm(dim=0)
    alive = centred[:, length > 1e-9 * length.max().clamp_min(1e-30)]
    if alive.shape[1] < 2:
        return 0
    unit = alive / alive.norm(dim=0)
    alike = (unit.T @ unit).fill_diagonal_(0).abs()
    return int((alike.max(0).values > NEAR).sum())


def probe(net: nn.Module, data: Dataset, folder: Path) -> dict[str, float]:
    """Measure a network: means over its layers but the head, and counts over all of them."""
    layers = {
        name: layer
        for name, layer in net.named_modules()
        if isinstance(layer, nn.Conv2d | nn.Linear) and name != "head"
    }
    seen: dict[str, Tensor] = {}
    hooks = [
        layer.register_forward_hook(lambda _, __, output, name=name: seen.update({name: _rows(output)}))
        for name, layer in layers.items()
    ]
    inputs = torch.cat([batch[0] for batch in data.evaluation(data.validation, EXAMPLES, EXAMPLES)])
    training = net.training
    with torch.no_grad():
        net.eval()(inputs)
    net.train(training)
    for hook in hooks:
        hook.remove()
    path = folder / "probe.onnx"
    export(net, data, path)
    exact = onnx_n2n.clones(path)
    path.unlink()
    weights = [effective_rank(layer.weight.detach().flatten(1)) for layer in layers.values()]
    return {
        "activation_rank": sum(map(effective_rank, seen.values())) / len(seen),
        "weight_rank": sum(weights) / len(weights),
        "near_clones": sum(map(near_clones, seen.values())),
        "channels": sum(rows.shape[1] for rows in seen.values()),
        "incoming_clones": exact.incoming,
        "outgoing_clones": exact.outgoing,
        "twins": exact.twins,
    }


def _rows(output: Tensor) -> Tensor:
    """Return activations as [places, channels], evenly thinned out."""
    rows = (output.permute(0, 2, 3, 1) if output.ndim == 4 else output).flatten(0, -2)
    return (rows - rows.mean(0))[:: max(1, len(rows) // SAMPLE)][:SAMPLE]
