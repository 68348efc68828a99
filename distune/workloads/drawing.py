"""Figures of a winner, for the report: computed here, drawn there.

Numbers that are not finite have no place in a figure; captions say how many were left out.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from distune.figures import FILE, Confusion, Figure, Figures, Picture, Pictures
from distune.records import encode_document
from distune.workloads.data import Dataset

#: From inputs to outputs, on the CPU.
Predict = Callable[[Tensor], Tensor]
Draw = Callable[[Predict, Dataset], list[Figure]]

_MOST_MISTAKES = 40


class HasFolder(Protocol):
    """A trial, as far as its folder goes."""

    @property
    def dir(self) -> Path:
        """Where what shall be kept of it lies; made when first asked for."""


def leave_figures(trial: HasFolder, figures: list[Figure]) -> None:
    """Write `figures.json` into the trial's folder, complete or not at all.

    A share that does not take it costs the figures, not the result.
    """
    try:
        path = trial.dir / FILE
        staging = path.with_name(f"{FILE}.part")
        staging.write_bytes(encode_document(Figures(figures=figures)))
        staging.replace(path)
    except OSError as error:
        print(f"distune: the figures could not be kept: {error}", flush=True)


def draw_mistakes(predict: Predict, known: Dataset, classes: Sequence[str]) -> list[Figure]:
    """Of a classifier with one logit for each class: `confusion` and `mistakes` on its test."""
    logits, labels = predict(known.test.inputs), known.test.targets.cpu()
    return [
        confusion(logits, labels, classes),
        mistakes(known.test.inputs.cpu(), logits, labels, classes),
    ]


def confusion(
    logits: Tensor, labels: Tensor, classes: Sequence[str], title: str = "Confusion matrix"
) -> Confusion:
    """From N x C logits and N labels in 0..C-1: how often each class was taken for which."""
    answered = ~logits.isnan().any(1)
    rows, columns = labels[answered], logits[answered].argmax(1)
    n = len(classes)
    counts = torch.bincount(rows * n + columns, minlength=n * n).reshape(n, n)
    total, wrong = int(counts.sum()), int(counts.sum() - counts.trace())
    caption = f"The winner on {total:,} test images: {wrong:,} mistakes."
    if wrong:
        worst = int((counts - counts.diag().diag()).argmax())
        taken, for_what = classes[worst // n], classes[worst % n]
        caption += f" The most frequent: {taken} taken for {for_what}, "
        caption += f"{int(counts.flatten()[worst])} times."
    if total < len(labels):
        caption += f" For {len(labels) - total:,} more it gave no answer (not a number)."
    return Confusion(title=title, caption=caption, classes=list(classes), counts=counts.tolist())


def mistakes(images: Tensor, logits: Tensor, labels: Tensor, classes: Sequence[str]) -> Pictures:
    """The at most 40 wrongly classified of N images that it was surest of.

    Args:
        images: N x 1 or 3 x H x W, in [0, 1).
        logits: N x C.
        labels: N, in 0..C-1.
        classes: the C names.
    """
    taken = logits.argmax(1)
    wrong = ((taken != labels) & ~logits.isnan().any(1)).nonzero()[:, 0]
    sure = logits[wrong].softmax(1).max(1).values
    shown = wrong[sure.argsort(descending=True, stable=True)[:_MOST_MISTAKES]]
    _, channels, height, width = images.shape
    return Pictures(
        title="Mistakes of the winner",
        caption=f"{len(shown)} of the {len(wrong):,} test images that it takes for another class, "
        "those it is surest of first.",
        height=height,
        width=width,
        channels=3 if channels == 3 else 1,
        pictures=[
            Picture(
                pixels=_encode(images[i]),
                label=f"{classes[int(labels[i])]}, taken for {classes[int(taken[i])]}",
            )
            for i in shown.tolist()
        ],
    )


def _encode(image: Tensor) -> str:
    """Channels x H x W in [0, 1) as base64 of H x W x channels bytes."""
    pixels = (image.permute(1, 2, 0) * 256).to(torch.uint8).contiguous()
    return base64.b64encode(pixels.numpy().tobytes()).decode()
