"""Lightning: a callback reports each epoch, and ends what the study has pruned.

pip install lightning
distune master --space examples/python/space.json --logs logs
python examples/python/lightning_trainer.py logs
"""

import logging
import sys

import lightning
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import distune

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)


class Net(lightning.LightningModule):
    def __init__(self, width, lr):
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Sequential(nn.Linear(8, width), nn.Tanh(), nn.Linear(width, 1))

    def training_step(self, batch, index):
        inputs, targets = batch
        return nn.functional.mse_loss(self.net(inputs), targets)

    def validation_step(self, batch, index):
        self.log("val_loss", self.training_step(batch, index))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), self.hparams.lr)


class Reporting(lightning.Callback):
    def __init__(self, trial):
        self.trial = trial

    def on_validation_end(self, trainer, module):
        if not trainer.sanity_checking:
            self.trial.report(trainer.current_epoch, val_loss=trainer.callback_metrics["val_loss"])
            trainer.should_stop = self.trial.should_stop


def data(seed):
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(256, 8, generator=generator)
    return DataLoader(TensorDataset(inputs, inputs.sum(1, keepdim=True)), batch_size=32)


for trial in distune.claim(sys.argv[1], study="space"):
    with trial:
        lightning.seed_everything(trial.seed % 2**32, verbose=False)
        trainer = lightning.Trainer(
            max_epochs=trial.params["epochs"],
            callbacks=[Reporting(trial)],
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        net = Net(trial.params["width"], trial.params["lr"])
        trainer.fit(net, data(seed=1), data(seed=2))
