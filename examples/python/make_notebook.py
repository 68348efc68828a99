"""Writes notebook.ipynb, executed; needs nbclient and ipykernel."""

import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

CELLS = [
    "# A search in a notebook\n\nA function, a space, a call. Stop it whenever you like: the same "
    "cell goes on where it was.",
    "import distune\n"
    "from sklearn.datasets import load_digits\n"
    "from sklearn.model_selection import cross_val_score\n"
    "from sklearn.svm import SVC\n\n"
    "images, labels = load_digits(return_X_y=True)\n\n"
    "def train(params):\n"
    "    return cross_val_score(SVC(**params), images / 16, labels, cv=3).mean()",
    "study = distune.run(\n"
    "    train,\n"
    '    {"C": distune.Float(0.1, 100, log=True), "gamma": distune.Float(1e-3, 1, log=True)},\n'
    '    trials=20, workers=2, metric="accuracy", direction="maximize",\n'
    ")",
    "study",
    "study.best.params",
    'study.to_pandas()[["params.C", "params.gamma", "value", "seconds"]].nlargest(5, "value")',
]

notebook = nbformat.v4.new_notebook()
text, *code = CELLS
notebook.cells = [nbformat.v4.new_markdown_cell(text), *map(nbformat.v4.new_code_cell, code)]
for number, cell in enumerate(notebook.cells):
    cell.id = f"cell-{number}"
with tempfile.TemporaryDirectory() as folder:
    resources = {"metadata": {"path": folder}}
    NotebookClient(notebook, timeout=120, resources=resources, record_timing=False).execute()
nbformat.write(notebook, Path(__file__).with_name("notebook.ipynb"))
