"""A training loop in plain PyTorch that claims its trials, and goes on where one was interrupted.

distune master --space examples/python/space.json --logs logs
python examples/python/plain_pytorch.py logs            # as many as you like, on any host
"""

import sys

import torch
from sklearn.datasets import load_digits
from torch import nn

import distune

images, labels = (torch.tensor(one) for one in load_digits(return_X_y=True))
images = (images / 16).float()
held_out = torch.arange(len(images)) % 5 == 0


def train(trial):
    torch.manual_seed(trial.seed)
    width = trial.params["width"]
    model = nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))
    optimizer = torch.optim.SGD(model.parameters(), trial.params["lr"], momentum=0.9)
    state = trial.load()  # of an attempt before this one, if it was interrupted
    if state is not None:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
    for epoch in range(trial.steps, trial.params["epochs"]):
        for batch in torch.randperm(int((~held_out).sum())).split(64):
            loss = nn.functional.cross_entropy(
                model(images[~held_out][batch]), labels[~held_out][batch]
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            val_loss = nn.functional.cross_entropy(model(images[held_out]), labels[held_out])
        trial.report(epoch, val_loss=val_loss)
        trial.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()})
        if trial.should_stop:  # pruned, or its study was stopped
            return


for trial in distune.claim(sys.argv[1], study="space"):
    with trial:
        train(trial)
