"""Train one network on one task: short, plain, and the same every time on the same machine."""

from collections.abc import Callable

import torch
from tasks import Task
from torch import nn

BATCH = 48


def train(build: Callable[[], nn.Module], task: Task, *, epochs: int, learning_rate: float, seed: int) -> nn.Module:
    """Build and train a network; the last epoch counts, so that the test data chooses nothing.

    Returns:
        The trained network, in evaluation mode.
    """
    torch.manual_seed(seed)
    # One thread: sums are then taken in one order.
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    network = build()
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=1e-2)
    # The last, smaller batch is dropped: it would disturb the running statistics.
    batches = len(task.train.inputs) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=epochs * batches)
    for epoch in range(1, epochs + 1):
        network.train()
        total = 0.0
        for chosen in torch.randperm(len(task.train.inputs))[: batches * BATCH].split(BATCH):
            loss = task.loss(network(task.train.inputs[chosen]), task.train.targets[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        network.eval()
        with torch.no_grad():
            score = task.score(network(task.test.inputs), task.test.targets)
        print(f"  epoch {epoch:2d}/{epochs}  loss {total / batches:.4f}  test {task.metric} {score:.4f}", flush=True)
    return network
