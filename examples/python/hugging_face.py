"""Hugging Face's Trainer: a callback reports each evaluation, and ends what the study has pruned.

    pip install transformers accelerate
    distune master --space examples/python/space.json --logs logs
    python examples/python/hugging_face.py logs

The model is a tiny BERT with random weights, so that nothing has to be downloaded.
"""

import sys
import tempfile

import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

import distune


class Reporting(TrainerCallback):
    def __init__(self, trial):
        self.trial = trial

    def on_evaluate(self, args, state, control, metrics, **rest):
        self.trial.report(state.global_step, val_loss=metrics["eval_loss"])
        control.should_training_stop |= self.trial.should_stop


def examples(seed, count):
    """Sequences of words, and whether the first word comes again."""
    generator = torch.Generator().manual_seed(seed)
    words = torch.randint(1, 20, (count, 8), generator=generator)
    again = (words[:, 1:] == words[:, :1]).any(1).long()
    return [{"input_ids": w, "labels": a} for w, a in zip(words, again, strict=True)]


for trial in distune.claim(sys.argv[1], study="space"):
    with trial, tempfile.TemporaryDirectory() as folder:
        width = trial.params["width"]
        config = BertConfig(
            vocab_size=20,
            hidden_size=width,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=2 * width,
        )
        arguments = TrainingArguments(
            folder,
            num_train_epochs=trial.params["epochs"],
            learning_rate=trial.params["lr"],
            seed=trial.seed % 2**32,
            eval_strategy="epoch",
            save_strategy="no",
            report_to=[],
            use_cpu=True,
            disable_tqdm=True,
        )
        Trainer(
            BertForSequenceClassification(config),
            arguments,
            train_dataset=examples(1, 128),
            eval_dataset=examples(2, 64),
            callbacks=[Reporting(trial)],
        ).train()
