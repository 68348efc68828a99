"""The median stopping rule (Golovin et al., Google Vizier, KDD 2017), in the form of Optuna's
`MedianPruner`: the best value so far against the median of its peers' at the same step.
"""

from distune.search.comparing import ComparingPruner


class MedianPruner(ComparingPruner):
    percentile = 50.0
    share = "the median"
