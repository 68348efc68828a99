"""Figures of a winner, for the report: computed here, drawn there.

Numbers that are not finite have no place in a figure; captions say how many were left out.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from distune.study.figures import Boundary, Confusion, Figure, Picture, Pictures, Scatter
from distune.workloads.data.loading import Splits, as_floats

if TYPE_CHECKING:
    from distune.workloads.workload import Predict

_MOST_MISTAKES = 40
_GRID = 120  # places on each side of the plane


def draw_mistakes(data: Splits, predict: Predict, classes: Sequence[str]) -> list[Figure]:
    """Of a classifier with one logit for each class: `confusion` and `mistakes` on its test."""
    logits, labels = predict(data.test.inputs), data.test.targets.cpu()
    return [
        confusion(logits, labels, classes),
        mistakes(data.test.inputs.cpu(), logits, labels, classes),
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
        images: N x 1 or 3 x H x W, in [0, 1) or as `Split` has them.
        logits: N x C.
        labels: N, in 0..C-1.
        classes: the C names.
    """
    taken = logits.argmax(1)
    wrong = ((taken != labels) & ~logits.isnan().any(1)).nonzero()[:, 0]
    best = logits[wrong].topk(2).values
    sure = best[:, 0] - best[:, 1]  # a share would be 1 for many, rounded
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
                pixels=_encode(as_floats(images[i])),
                label=f"{classes[int(labels[i])]}, taken for {classes[int(taken[i])]}",
            )
            for i in shown.tolist()
        ],
    )


def _encode(image: Tensor) -> str:
    """Channels x H x W in [0, 1) as base64 of H x W x channels bytes."""
    pixels = (image.permute(1, 2, 0) * 256).to(torch.uint8).contiguous()
    return base64.b64encode(pixels.numpy().tobytes()).decode()


def draw_boundary(
    data: Splits, predict: Predict, score: Callable[[Tensor], Tensor]
) -> list[Figure]:
    """The `score` of what a network says all over the plane, and the test points."""
    points, labels = data.test.inputs.cpu(), data.test.targets.cpu()
    low, high = points.min(0).values, points.max(0).values
    margin = 0.1 * (high - low)
    x, y = (
        torch.linspace(float(a), float(b), _GRID)
        for a, b in zip(low - margin, high + margin, strict=True)
    )
    plane = torch.cartesian_prod(y, x).flip(1)  # row by row
    outputs = predict(plane.to(data.test.inputs.device))
    scores = score(outputs).clamp(0, 1).reshape(_GRID, _GRID)
    unknown = int(scores.isnan().sum())
    caption = f"The winner's score of class 1, and the {len(labels):,} test points."
    if unknown:
        caption += f" At {unknown:,} of {scores.numel():,} places it has none (shown as 0.5)."
    return [
        Boundary(
            title="Decision boundary",
            caption=caption,
            x=numbers(x),
            y=numbers(y),
            scores=[numbers(row) for row in scores.nan_to_num(0.5)],
            points_x=numbers(points[:, 0]),
            points_y=numbers(points[:, 1]),
            labels=labels.tolist(),
        )
    ]


def scatter(
    title: str,
    x: tuple[str, Tensor],
    y: tuple[str, Tensor],
    y_error: Tensor | None = None,
    diagonal: bool = False,
    log_y: bool = False,
) -> Scatter:
    """A title and N numbers for each axis, and half the length of each error bar."""
    columns = torch.stack([x[1], y[1], *([] if y_error is None else [y_error])])
    finite = columns.isfinite().all(0)
    shown = columns[:, finite]
    caption = f"The winner on {int(finite.sum()):,} test rows."
    if not finite.all():
        caption += f" For {int((~finite).sum()):,} more it gave no number."
    if y_error is not None:
        caption += " Bars are one standard deviation to each side."
    return Scatter(
        title=title,
        caption=caption,
        x_title=x[0],
        y_title=y[0],
        x=numbers(shown[0]),
        y=numbers(shown[1]),
        y_error=numbers(shown[2]) if y_error is not None else [],
        diagonal=diagonal,
        log_y=log_y,
    )


def numbers(values: Tensor) -> list[float]:
    """With five digits, which is all that a figure shows."""
    return [float(f"{value:.5g}") for value in values.tolist()]
