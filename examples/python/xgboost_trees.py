"""XGBoost: a callback reports each tree, and ends what the study has pruned.

pip install xgboost
distune master --space examples/python/trees.json --logs logs
python examples/python/xgboost_trees.py logs
"""

import sys

import xgboost
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

import distune


class Reporting(xgboost.callback.TrainingCallback):
    def __init__(self, trial):
        self.trial = trial

    def after_iteration(self, model, epoch, evals_log):
        self.trial.report(epoch, val_rmse=evals_log["valid"]["rmse"][-1])
        return self.trial.should_stop


x_train, x_held_out, y_train, y_held_out = train_test_split(
    *load_diabetes(return_X_y=True), random_state=0
)
train, held_out = xgboost.DMatrix(x_train, y_train), xgboost.DMatrix(x_held_out, y_held_out)

for trial in distune.claim(sys.argv[1], study="trees"):
    with trial:
        xgboost.train(
            {"eta": trial.params["eta"], "max_depth": trial.params["depth"], "seed": trial.number},
            train,
            num_boost_round=trial.params["rounds"],
            evals=[(held_out, "valid")],
            callbacks=[Reporting(trial)],
            verbose_eval=False,
        )
