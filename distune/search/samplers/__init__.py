"""Samplers: what to try next.

A sampler is a callable: given the index of a configuration and the history so far, it
returns the configuration's params, or None when there are no more, or none yet. What it
returns depends on the study, its seed and the history alone (P5).
"""

from __future__ import annotations

from distune.search.samplers.independent import Sampler, independent_sampler
from distune.search.samplers.staged import StagedSampler
from distune.study.study import Study

__all__ = ["Sampler", "make_sampler"]


def make_sampler(study: Study) -> Sampler:
    """The sampler a study names."""
    if study.sampler == "stages":
        return StagedSampler(study)
    return independent_sampler(study.sampler, study.space, study.seed, study.settings)
