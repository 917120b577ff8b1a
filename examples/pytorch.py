"""Train a network, make it wider in the middle of the run, and train on, in PyTorch: on one process or on several.

    pip install 'onnx-n2n[torch,gpu]' onnxscript
    python examples/pytorch.py
    torchrun --nproc-per-node 2 examples/pytorch.py
"""

import os
import tempfile
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn

import onnx_n2n
from onnx_n2n.checkpoint.files import grow_file

STEPS, BATCH = 200, 128
rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
if world > 1:
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
device = f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if torch.cuda.is_available() else "cpu"


class Net(nn.Module):
    def __init__(self, width=24, hidden=32):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, width, 3, padding=1), nn.BatchNorm2d(width)
        self.fc, self.head = nn.Linear(width * 4, hidden), nn.Linear(hidden, 10)

    def forward(self, x):
        x = nn.functional.max_pool2d(torch.relu(self.norm(self.conv(x))), 4).flatten(1)
        return self.head(torch.relu(self.fc(x)))


def batches(seed):
    """Ten patterns, each under noise; every process draws batches of its own."""
    patterns = torch.randn(10, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    chance = torch.Generator().manual_seed(1 + rank + world * seed)
    while True:
        labels = torch.randint(10, (BATCH // world,), generator=chance)
        noise = torch.randn(len(labels), 1, 8, 8, generator=chance)
        yield (patterns[labels] + 2 * noise).to(device), labels.to(device)


def train(net, optimizer, seed):
    model = nn.parallel.DistributedDataParallel(net) if world > 1 else net
    for step, (images, labels) in zip(range(STEPS), batches(seed), strict=False):
        loss = nn.functional.cross_entropy(model(images), labels)
        if rank == 0 and step in (0, STEPS - 1):
            print(f"{net.fc.out_features} hidden channels, step {step:3}: loss {loss.item():.3f}", flush=True)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


torch.manual_seed(0)
net = Net().to(device)
optimizer = torch.optim.AdamW(net.named_parameters(), 2e-3)  # with names, so that its state says which is which
train(net, optimizer, seed=0)

# One process grows the model and its checkpoint, in a folder that it tells the others.
folder = [tempfile.mkdtemp() if rank == 0 else None]
if world > 1:
    dist.broadcast_object_list(folder)
place = Path(folder[0])
if rank == 0:
    torch.save({"model": net.state_dict(), "optimizer": optimizer.state_dict()}, place / "last.pt")
    batch = ({0: torch.export.Dim("batch")},)
    net.to("cpu").eval()
    torch.onnx.export(net, (torch.zeros(2, 1, 8, 8),), dynamo=True, dynamic_shapes=batch).save(place / "net.onnx")
    growth = onnx_n2n.widen(place / "net.onnx", 2, output=place / "wider.onnx").growth
    grow_file(growth, place / "last.pt", place / "wider.pt", optimizer=True)
if world > 1:
    dist.barrier()

state = torch.load(place / "wider.pt", weights_only=True, map_location=device)
wider = Net(state["model"]["conv.weight"].shape[0], state["model"]["fc.weight"].shape[0]).to(device)
wider.load_state_dict(state["model"], strict=True)
optimizer = torch.optim.AdamW(wider.named_parameters(), 2e-3)
optimizer.load_state_dict(state["optimizer"])
if rank == 0:
    with torch.no_grad():
        images, _ = next(batches(seed=1))
        difference = (wider.eval()(images) - net.to(device).eval()(images)).abs().max()
    print(f"largest difference between teacher and student: {difference.item():.1e}", flush=True)
    wider.train()
train(wider, optimizer, seed=1)
if world > 1:
    dist.destroy_process_group()
    os._exit(0)  # DistributedDataParallel keeps threads of gloo alive, which may abort while Python ends (PyTorch 2.13)
