"""Section: what was reached with which params: slices, pairs, all at once. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from distune.report.blocks import Block, Paragraph, Plot, Row, Section
from distune.report.heat_map import heat_maps
from distune.report.optuna_plots import parallel_plot, slice_plot, study_of
from distune.report.plotting import scale
from distune.report.study_data import StudyData, sample, subset, value_of
from distune.watch.display.numbers import format_scalar, plural

_SLICES = 12
_AXES = 10
_SLICED_BEST, _SLICED_OTHERS = 100, 300
_LINES_BEST, _LINES_OTHERS = 40, 80


def section(data: StudyData, importance: Mapping[str, float]) -> Section | None:
    """`importance`: of the parameters; the more important come first."""
    values = {
        one.trial.number: value for one in data.trials if math.isfinite(value := value_of(one))
    }
    there = {name for one in data.trials if one.trial.number in values for name in one.trial.params}
    varied = [name for name in data.varying if name in there]
    names = sorted(varied, key=lambda name: (-importance.get(name, 0.0), varied.index(name)))
    if not names or len(values) < 2:
        return None
    blocks: list[Block] = [_slices(data, names)]
    if len(names) > _SLICES:
        blocks.append(
            Paragraph(f"The {_SLICES} most important of {len(names)} parameters.", "aside")
        )
    if len(names) > 1:
        blocks += [*heat_maps(data, names, values), _parallel(data, names)]
    return Section("settings", "Params and what they gave", blocks)


def _slices(data: StudyData, names: Sequence[str]) -> Row:
    metric = data.study.metric
    chosen = sample(data.history, _SLICED_BEST, _SLICED_OTHERS)
    study = study_of(subset(data.history, chosen))
    values = [value_of(one) for one in data.trials]
    shown = scale(values, data.study.direction)
    plots = []
    for name in names[:_SLICES]:
        drawn = slice_plot(study, name, metric)
        if not drawn["data"] or not any(len(trace["x"]) for trace in drawn["data"]):
            continue
        drawn["layout"]["yaxis"] |= shown
        plots.append(
            Plot(
                f"Slice: {name}",
                {"": drawn},
                f"What trials reached in {metric} against {name}. {_best_at(data, name)}",
                height=270,
            )
        )
    which = _which(data, len(chosen))
    far = " The scale leaves out the worst tenth: zoom out to see it." if "range" in shown else ""
    last = plots[-1]
    caption = f"{which} A dot is a trial; the brighter, the later.{far}"
    plots[-1] = Plot(last.title, last.figures, last.alt, caption, height=last.height)
    return Row(plots)


def _which(data: StudyData, chosen: int) -> str:
    if chosen == len(data.history):
        return "All complete trials."
    return (
        f"{chosen:,} of {plural(len(data.history), 'trial')}: the best ones, and others drawn "
        "at random."
    )


def _best_at(data: StudyData, name: str) -> str:
    winner = data.history.winner()
    if winner is None or name not in winner.params:
        return ""
    return f"The best configuration has {name} {format_scalar(winner.params[name])}."


def _parallel(data: StudyData, names: Sequence[str]) -> Plot:
    chosen = sample(data.history, _LINES_BEST, _LINES_OTHERS)
    drawn = parallel_plot(study_of(subset(data.history, chosen)), names[:_AXES], data.study.metric)
    of = f" The {_AXES} most important parameters." if len(names) > _AXES else ""
    return Plot(
        "Parallel coordinates",
        {"": drawn},
        f"Parallel coordinates of {data.study.metric} and {', '.join(names[:_AXES])}: a line "
        "for each trial.",
        f"{_which(data, len(chosen))} A line is a trial; the brighter, the better. A trial "
        f"without a parameter passes it at None.{of}",
        height=400,
        min_width=90 + 105 * (len(names[:_AXES]) + 1),
    )
