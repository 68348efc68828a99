"""Several processes for each trial, under torchrun: the first claims, and tells the others.

distune master --space examples/python/space.json --logs logs
torchrun --standalone --nproc-per-node 2 examples/python/torchrun.py logs
"""

import contextlib
import gc
import sys

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import distune


def tell_all(value):
    """What the first process has; None in the others until it comes."""
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def train(params, seed, report):
    rank, size = dist.get_rank(), dist.get_world_size()
    torch.manual_seed(seed)
    inputs = torch.randn(512, 8)
    targets = inputs @ torch.randn(8, 1)
    inputs, targets = inputs[rank::size], targets[rank::size]  # each trains on its part
    network = nn.Sequential(nn.Linear(8, params["width"]), nn.Tanh(), nn.Linear(params["width"], 1))
    model = DistributedDataParallel(network)
    optimizer = torch.optim.SGD(model.parameters(), params["lr"])
    for epoch in range(params["epochs"]):
        for batch in torch.arange(len(inputs)).split(32):
            loss = nn.functional.mse_loss(model(inputs[batch]), targets[batch])
            optimizer.zero_grad()
            loss.backward()  # averages the gradients of all
            optimizer.step()
        with torch.no_grad():
            mean = nn.functional.mse_loss(network(inputs), targets)
        dist.all_reduce(mean)
        if report(epoch, mean.item() / size):  # the same answer in all of them
            return


dist.init_process_group("gloo")  # "nccl" on GPUs
is_first = dist.get_rank() == 0
trials = distune.claim(sys.argv[1], study="space") if is_first else None
while True:
    trial = next(trials, None) if is_first else None
    what = tell_all(trial and (trial.params, trial.seed))
    if what is None:
        break

    def report(epoch, val_loss, trial=trial):
        if is_first:
            trial.report(epoch, val_loss=val_loss)
        return tell_all(trial.should_stop if is_first else None)

    with trial if is_first else contextlib.nullcontext():
        train(*what, report)
dist.barrier()  # nobody leaves while another still waits for its last words
dist.destroy_process_group()
gc.collect()  # models still hold the group, whose threads must end before Python does
