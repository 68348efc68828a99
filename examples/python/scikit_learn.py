"""scikit-learn, searched from a script: a master and two workers in one call.

python examples/python/scikit_learn.py
"""

from sklearn.datasets import load_digits
from sklearn.model_selection import cross_val_score
from sklearn.svm import SVC

import distune


def train(params):
    images, labels = load_digits(return_X_y=True)
    scores = cross_val_score(SVC(**params), images / 16, labels, cv=3)
    return {"accuracy": scores.mean()}


study = distune.run(
    train,
    {
        "C": distune.Float(0.1, 100, log=True),
        "kernel": ["rbf", "poly"],
        "gamma": distune.Float(1e-3, 1, log=True),
        "degree": distune.Int(2, 4, when={"kernel": "poly"}),
    },
    trials=12,
    workers=2,
    metric="accuracy",
    direction="maximize",
)
print(study)
print(study.best.params)
