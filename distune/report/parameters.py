"""Section: what was reached with which params: slices, pairs, all at once. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import optuna

from distune.report.blocks import Block, Paragraph, Plot, Row, Section
from distune.report.heat_map import heat_maps
from distune.report.optuna_plots import FEWEST, parallel_plot, slice_plot, study_of
from distune.report.plotting import PlotlyFigure, axis, figure, label, scale
from distune.report.study_data import StudyData, sample
from distune.search.ranking import History
from distune.watch.display.numbers import format_scalar, plural
from distune.watch.display.text import clean

_FEW = 50  # trials below which it is said that it may be chance
_WORTH_A_WORD = 0.05
_BEST_SHARE = 0.1  # of the trials that PED-ANOVA compares with all; its default


def what_mattered(data: StudyData, found: Mapping[str, float]) -> Section | None:
    """`found`: the importance of each parameter, the greatest first; empty if it is not known."""
    if not data.varying or not data.trials:
        return None
    complete = len(data.values)
    if not found:
        why_not = "No parameter can be seen to have mattered: what was tried reached the same."
        if complete < FEWEST:
            why_not = (
                f"{plural(complete, 'complete trial')}: too few to say which parameters mattered. "
                f"It takes {FEWEST}, and some {_FEW} to rely on it."
            )
        return Section("importance", "What mattered", [Paragraph(why_not)])
    plot = Plot(
        "",
        {"": _importance_plot(found)},
        "Importance of each parameter: "
        + ", ".join(f"{name} {value:.2f}" for name, value in found.items()),
        f"PED-ANOVA, through Optuna. It rests on {plural(complete, 'complete trial')}: the "
        f"best {_BEST_SHARE:.0%} of them are compared with all. A parameter is important if "
        "its values are distributed otherwise among the best than among all; the numbers are "
        "shares of their sum. They do not say which values are good, and hold for the ranges "
        "that were searched.",
        height=90 + 30 * len(found),
    )
    chance = f"{complete} trials are few for that: these numbers may be chance."
    warning = [Paragraph(chance, "aside")] if complete < _FEW else []
    return Section("importance", "What mattered", [Paragraph(_words(found)), *warning, plot])


def _importance_plot(found: Mapping[str, float]) -> PlotlyFigure:
    names, values = list(found)[::-1], list(found.values())[::-1]  # from the bottom
    bars = {
        "type": "bar", "orientation": "h", "marker": {"color": "@0"}, "x": values,
        "y": [label(name) for name in names], "cliponaxis": False, "textposition": "outside",
        "text": [f"{value:.2f}" if value >= 0.01 else "<0.01" for value in values],
    }  # fmt: skip
    x = axis("importance", range=[0, 1.1 * max(values)])
    return figure([bars], x, {"type": "category"}, margin={"l": 56, "r": 16, "t": 24, "b": 48})


def _words(found: Mapping[str, float]) -> str:
    words = [f"{clean(n, 60)} ({v:.0%})" for n, v in found.items() if v >= _WORTH_A_WORD]
    first, *others = words[:3]
    then = f", then by {' and '.join(others)}" if others else ""
    return f"The best trials stand out by {first}{then}."


_SLICES = 12
_AXES = 10
_SLICED_BEST, _SLICED_OTHERS = 100, 300
_LINES_BEST, _LINES_OTHERS = 40, 80


def section(data: StudyData, importance: Mapping[str, float]) -> Section | None:
    """`importance`: of the parameters; the more important come first."""
    complete = [one.trial for one in data.trials if one.trial.number in data.values]
    there = {name for trial in complete for name in trial.params}
    varied = [name for name in data.varying if name in there]
    names = sorted(varied, key=lambda name: (-importance.get(name, 0.0), varied.index(name)))
    if not names or len(complete) < 2:
        return None
    blocks: list[Block] = [_slices(data, names)]
    if len(names) > _SLICES:
        shown = f"The {_SLICES} most important of {len(names)} parameters."
        blocks.append(Paragraph(shown, "aside"))
    if len(names) > 1:
        blocks += [*heat_maps(data, names), _parallel(data, names)]
    return Section("settings", "Params and what they gave", blocks)


def _sampled(data: StudyData, best: int, others: int) -> tuple[optuna.Study, str]:
    """So many trials, and which they are, in words."""
    chosen, count = sample(data.history, best, others), len(data.history.standing)
    part = History(data.study)
    part.extend(chosen)
    which = (
        f"{len(chosen):,} of {plural(count, 'trial')}: the best ones, and others drawn at random."
    )
    return study_of(part), "All complete trials." if len(chosen) == count else which


def _slices(data: StudyData, names: Sequence[str]) -> Row:
    metric = data.study.metric
    study, which = _sampled(data, _SLICED_BEST, _SLICED_OTHERS)
    shown = scale(list(data.values.values()), data.study.direction)
    winner = data.history.winner()
    best = {} if winner is None else winner.params
    plots = []
    for name in names[:_SLICES]:
        drawn = slice_plot(study, name, metric)
        if any(len(trace["x"]) for trace in drawn["data"]):
            drawn["layout"]["yaxis"] |= shown
            alt = f"What trials reached in {metric} against {name}."
            if name in best:
                alt += f" The best configuration has {name} {format_scalar(best[name])}."
            plots.append(Plot(f"Slice: {name}", {"": drawn}, alt, height=270))
    far = " The scale leaves out the worst tenth: zoom out to see it." if "range" in shown else ""
    caption = f"{which} A dot is a trial; the brighter, the later.{far}"
    plots[-1] = replace(plots[-1], caption=caption)
    return Row(plots)


def _parallel(data: StudyData, names: Sequence[str]) -> Plot:
    study, which = _sampled(data, _LINES_BEST, _LINES_OTHERS)
    shown = names[:_AXES]
    of = f" The {_AXES} most important parameters." if len(names) > _AXES else ""
    return Plot(
        "Parallel coordinates",
        {"": parallel_plot(study, shown, data.study.metric)},
        f"Parallel coordinates of {data.study.metric} and {', '.join(shown)}: a line for each "
        "trial.",
        f"{which} A line is a trial; the brighter, the better. A trial "
        f"without a parameter passes it at None.{of}",
        height=400,
        min_width=90 + 105 * (len(shown) + 1),
    )
