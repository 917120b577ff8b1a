"""Train, export and record the golden models: `python models/make.py [--only NAME]... [--out FOLDER]`."""

import argparse
import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import networks
import numpy as np
import onnx
import onnxruntime as ort
import onnxscript
import sklearn
import torch
from export import INPUT, OUTPUT, Exporter, export, run
from tasks import Task, classification, segmentation
from torch import nn
from training import train

HERE = Path(__file__).parent
RECORDED = 8  # samples with their outputs; divides the 360 test samples, and is the batch of a model of fixed shape
SEED = 0


@dataclass(frozen=True)
class Golden:
    """How one golden model is made."""

    network: Callable[[], nn.Module]
    task: Callable[[], Task]
    exporter: Exporter
    opset: int
    dynamic: bool
    epochs: int
    learning_rate: float


GOLDEN = {
    "inception_bn": Golden(networks.InceptionBN, classification, "torch.export", 18, True, 30, 5e-3),
    "resnet": Golden(networks.ResNet, classification, "torch.export", 20, False, 30, 5e-3),
    "mobile_se": Golden(networks.MobileSE, classification, "torch.export", 19, True, 40, 5e-3),
    "densenet": Golden(networks.DenseNet, classification, "torchscript", 17, True, 30, 5e-3),
    "unet": Golden(networks.UNet, segmentation, "torch.export", 18, True, 25, 5e-3),
}


def main() -> None:
    """Make the models asked for, and enter each into the manifest as soon as it is done."""
    parser = argparse.ArgumentParser(description="Train, export and record the golden models.")
    parser.add_argument("--only", action="append", choices=GOLDEN, metavar="NAME", help=f"one of {', '.join(GOLDEN)}")
    parser.add_argument("--out", type=Path, default=HERE, help="folder to write to (default: beside this script)")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    manifest = arguments.out / "manifest.json"
    entries = json.loads(manifest.read_text()) if manifest.exists() else {}
    for name in arguments.only or GOLDEN:
        entries[name] = make(name, arguments.out)
        manifest.write_text(json.dumps({name: entries[name] for name in GOLDEN if name in entries}, indent=2) + "\n")


def make(name: str, folder: Path) -> dict[str, Any]:
    """Train, export and record one model.

    Returns:
        Its entry in the manifest.
    """
    golden, task = GOLDEN[name], GOLDEN[name].task()
    print(f"{name}: {task.name}", flush=True)
    start = time.perf_counter()
    network = train(golden.network, task, epochs=golden.epochs, learning_rate=golden.learning_rate, seed=SEED)
    model = export(
        network,
        task.test.inputs[:RECORDED],
        exporter=golden.exporter,
        opset=golden.opset,
        dynamic=golden.dynamic,
    )
    inputs = task.test.inputs.numpy()
    outputs = run(model, inputs, RECORDED)
    _check_export(network, task, outputs)
    score = task.score(torch.from_numpy(outputs), task.test.targets)

    model_file, recording_file = folder / f"{name}.onnx", folder / f"{name}.npz"
    model_file.write_bytes(model.SerializeToString(deterministic=True))
    np.savez_compressed(
        recording_file, **{f"inputs/{INPUT}": inputs[:RECORDED], f"outputs/{OUTPUT}": outputs[:RECORDED]}
    )
    print(f"  {model_file.name}: {task.metric} {score:.4f}, {time.perf_counter() - start:.0f} s", flush=True)
    return {
        "file": model_file.name,
        "sha256": _sha256(model_file),
        "recording": recording_file.name,
        "recording_sha256": _sha256(recording_file),
        "task": task.name,
        "data": task.data,
        "metric": task.metric,
        "score": round(score, 4),
        "test_samples": len(task.test.inputs),
        "baseline": round(task.baseline, 4),
        "baseline_is": task.baseline_is,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "batch_normalizations": sum(node.op_type == "BatchNormalization" for node in model.graph.node),
        "batch": "dynamic" if golden.dynamic else RECORDED,
        "opset": golden.opset,
        "exporter": golden.exporter,
        "versions": {package.__name__: package.__version__ for package in (torch, onnx, onnxscript, ort, sklearn)},
        "seed": SEED,
        "epochs": golden.epochs,
        "command": f"python models/make.py --only {name}",
    }


def _check_export(network: nn.Module, task: Task, outputs: np.ndarray) -> None:
    with torch.no_grad():
        expected = network(task.test.inputs).numpy()
    error = np.abs(outputs - expected).max() / np.ptp(expected)
    if not error <= 1e-5:  # also where it is NaN
        raise RuntimeError(f"The exported model is {error:.1e} of the outputs' range away from the PyTorch network.")


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
