"""An objective that yields after every epoch, and saves where it is: it gets a live curve, can be
stopped, and goes on where it was interrupted.

    distune master --space examples/curve.json --workers 2 --objective examples/curve.py:train

Plain PyTorch; nothing of distune is imported. `trial` is optional: take it as a second
argument if you want .number, .attempt, .seed, .device, .dir (a folder for your files), .load and
.save.
"""

import torch
from sklearn.datasets import load_digits
from torch import nn


def train(params, trial):
    torch.manual_seed(trial.seed)
    images, labels = load_digits(return_X_y=True)
    x = torch.tensor(images, dtype=torch.float32, device=trial.device) / 16
    y = torch.tensor(labels, device=trial.device)
    train_x, train_y, val_x, val_y = x[:1400], y[:1400], x[1400:], y[1400:]

    model = nn.Sequential(nn.Linear(64, params["width"]), nn.ReLU(), nn.Linear(params["width"], 10))
    model.to(trial.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=params["lr"])

    # What an attempt before this one has saved, if it was interrupted.
    state = trial.load() or {"epoch": 0}
    if state["epoch"]:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["random"])

    for epoch in range(state["epoch"], params["epochs"]):
        for batch in torch.randperm(len(train_x)).split(params["batch_size"]):
            loss = nn.functional.cross_entropy(model(train_x[batch]), train_y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.inference_mode():
            accuracy = (model(val_x).argmax(1) == val_y).float().mean()
        yield {"val_accuracy": accuracy, "train_loss": loss}
        trial.save(
            {
                "epoch": epoch + 1,
                "model": model.state_dict(),
                "optimizer": optimizer.state_dict(),
                "random": torch.get_rng_state(),
            }
        )

    torch.save(model.state_dict(), trial.dir / "model.pt")
