"""Networks of Hugging Face's classes as tests and benchmarks use them: values, inputs and exports."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

TOKENS = torch.randint(0, 61, (2, 9), generator=torch.Generator().manual_seed(0))
IMAGES = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))


class Logits(torch.nn.Module):  # type: ignore[misc]
    """The wrapper that an export needs: names in the file have a prefix that those of the checkpoint lack."""

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Any) -> Any:
        """Return the logits."""
        return self.net(x).logits


def drawn(make: Callable[[], Any]) -> Any:
    """Return a network with values as training would leave them: no norm is plain, no bias zero."""
    torch.manual_seed(0)
    net = make().eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return net


def example(net: Any) -> Any:
    """Return an input of a network."""
    return IMAGES if net.main_input_name == "pixel_values" else TOKENS


def export(net: Any, path: Path, *, dynamic: bool = True) -> None:
    """Export a network, with a free batch and length if ``dynamic``."""
    inputs = example(net)
    free = {0: torch.export.Dim("batch")}
    if inputs is TOKENS:
        free[1] = torch.export.Dim("length", max=16)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shapes = (free,) if dynamic else None
        program = torch.onnx.export(Logits(net), (inputs,), dynamo=True, verbose=False, dynamic_shapes=shapes)
        program.save(str(path))
