"""Optuna's own plots, in this page's colours. Pure."""

import json
import warnings
from collections.abc import Sequence
from typing import Any

import optuna

from distune.export.optuna_bridge import optuna_study
from distune.export.table import TrialTable
from distune.report.plotting import PlotlyFigure, label
from distune.search.ranking import History


def study_of(history: History) -> optuna.Study:
    """The history as an Optuna study."""
    # Optuna calls experimental what it has had for years.
    with warnings.catch_warnings(action="ignore"):
        return optuna_study(TrialTable(history), plain=True)


def slice_plot(study: optuna.Study, name: str, metric: str) -> PlotlyFigure:
    """What trials reached against one parameter; later trials are brighter."""
    drawn = _adopted(
        optuna.visualization.plot_slice(
            study, params=[name], target=_value, target_name=label(metric, 60)
        )
    )
    for trace in drawn["data"]:
        trace["marker"] |= {"colorscale": "@scale", "showscale": False, "size": 7, "opacity": 0.8}
        trace["marker"]["line"] = {"width": 0.5, "color": "@paper"}
        trace["hovertemplate"] = "%{y:.6g} at %{x}<extra></extra>"
        trace["x"] = [label(x) if isinstance(x, str) else x for x in trace["x"]]
    x = drawn["layout"]["xaxis"]
    if "categoryarray" in x:
        x["categoryarray"] = [label(one) for one in x["categoryarray"]]
    x["title"]["text"] = label(name, 60)
    return drawn


def parallel_plot(study: optuna.Study, names: Sequence[str], metric: str) -> PlotlyFigure:
    """A line for each complete trial through its value and its params; better ones brighter."""
    drawn = _adopted(
        optuna.visualization.plot_parallel_coordinate(
            study, params=list(names), target=_value, target_name=metric
        )
    )
    lines = [trace for trace in drawn["data"] if trace["mode"] == "lines"]
    # On the first axis stands what a trial reached.
    places = sorted(trace["y"][0] for trace in lines)
    if study.direction.name == "MINIMIZE":
        places.reverse()
    for trace in lines:
        rank = places.index(trace["y"][0]) / max(len(places) - 1, 1)
        trace["line"] = {"color": f"@s{round(10 * rank)}", "width": 1.3}
        trace["opacity"] = 0.75
        trace["hovertemplate"] = "%{customdata[0]}: %{customdata[1]}<extra></extra>"
    drawn["data"] = lines
    layout = drawn["layout"]
    layout["xaxis"]["ticktext"] = [label(text, 18) for text in layout["xaxis"]["ticktext"]]
    layout["xaxis"] |= {"side": "top", "automargin": False}
    for annotation in layout["annotations"]:
        annotation["font"] = {"color": "@ink", "size": 10}
        annotation["text"] = label(annotation["text"], 14)
        annotation |= {"bgcolor": "@paper", "borderpad": 1, "opacity": 0.85}
    for shape in layout["shapes"]:
        shape["line"] = {"color": "@muted", "width": 1}
    return drawn


def _value(trial: optuna.trial.FrozenTrial) -> float:
    return float(trial.value) if trial.value is not None else float("nan")


def _adopted(drawn: Any) -> PlotlyFigure:
    """The plot as plain data, without its own looks; and without templates for hovering, into
    which names from the share are written.
    """
    tree: PlotlyFigure = json.loads(drawn.to_json())
    for trace in tree["data"]:
        trace.pop("hovertemplate", None)
    for key in ("template", "title", "plot_bgcolor", "legend"):
        tree["layout"].pop(key, None)
    tree["layout"]["margin"] = {"l": 56, "r": 16, "t": 24, "b": 48}
    return tree
