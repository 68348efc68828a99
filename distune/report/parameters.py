"""Section: what was reached with which params: slices, pairs, all at once. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import optuna

from distune.page.curves import sample
from distune.report.blocks import Block, Paragraph, Plot, Row, Section
from distune.report.heat_map import heat_maps
from distune.report.optuna_plots import parallel_plot, slice_plot, study_of
from distune.report.plotting import scale
from distune.report.study_data import StudyData
from distune.search.ranking import History
from distune.watch.display.numbers import format_scalar, plural

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
