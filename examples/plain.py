"""An objective of your own, the simplest kind: a function from params to a number.

    distune master --space examples/plain.json --workers 2 --objective examples/plain.py:train

Here the number is the validation error of a nearest-neighbour classifier on scikit-learn's
handwritten digits.
"""

from sklearn.datasets import load_digits
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier


def train(params):
    images, labels = load_digits(return_X_y=True)
    model = KNeighborsClassifier(n_neighbors=params["n_neighbors"], p=params["p"])
    return 1.0 - cross_val_score(model, images, labels, cv=3).mean()
