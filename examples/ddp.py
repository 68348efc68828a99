"""A trial on several devices, by PyTorch's DistributedDataParallel: NCCL on GPUs, gloo on CPUs.

    distune master --space examples/ddp.json --logs logs
    distune worker --logs logs --allow-commands --devices-per-trial 2 [--device cpu]

examples/ddp.json has torchrun start a process for each device of the trial. `--standalone` finds a
free port by itself, so trials side by side do not meet.
"""

import argparse
import json

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cpu", help="the first one of the trial's")
    parser.add_argument("--lr", type=float, required=True)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    on_gpu = options.device.startswith("cuda")  # CUDA_VISIBLE_DEVICES has this trial's only
    dist.init_process_group("nccl" if on_gpu else "gloo")
    train(options, torch.device("cuda", dist.get_rank()) if on_gpu else torch.device("cpu"))
    dist.barrier()  # nobody leaves while another still waits for its last words
    dist.destroy_process_group()


def train(options: argparse.Namespace, device: torch.device) -> None:
    rank, size = dist.get_rank(), dist.get_world_size()
    torch.manual_seed(options.seed)
    inputs = torch.randn(256, 8)
    targets = inputs @ torch.randn(8, 1)
    mine = slice(rank, None, size)  # each rank trains on its part of the examples
    inputs, targets = inputs[mine].to(device), targets[mine].to(device)

    model = DistributedDataParallel(torch.nn.Linear(8, 1).to(device))
    optimizer = torch.optim.SGD(model.parameters(), options.lr)
    for _ in range(options.steps):
        loss = torch.nn.functional.mse_loss(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()  # averages the gradients of all ranks
        optimizer.step()
        mean = loss.detach()
        dist.all_reduce(mean)
        if rank == 0:  # one of them reports
            print(json.dumps({"loss": mean.item() / size, "ranks": size}), flush=True)


if __name__ == "__main__":
    main()
