"""AutoGluon's answers for `stack_peers.py`; runs in an environment of its own, without this project.

    python autogluon_peer.py GIVEN.npz ANSWERS.npy

Every location gets an equal share of the seconds. Dynamic stacking, which tries the stack on a part of the
rows first, is off: with the seconds that a location has here it leaves no model. Where a location has fewer
than two positives or negatives, its probability is their share.
"""

import sys
import tempfile

import numpy as np
import pandas as pd
from autogluon.tabular import TabularPredictor


def main(given: str, answers: str) -> None:
    """Fit `best_quality` to one location after the other, and write the probabilities."""
    with np.load(given, allow_pickle=False) as arrays:
        known, labels, asked = (arrays[name] for name in ("known", "labels", "asked"))
        seconds = float(arrays["seconds"]) / labels.shape[1]
    result = np.tile(labels.mean(axis=0), (len(asked), 1))
    for column, y in enumerate(labels.T):
        if min(y.sum(), (~y).sum()) < 2:
            continue
        table = pd.DataFrame(known).rename(columns=str).assign(truth=y.astype(int))
        with tempfile.TemporaryDirectory() as folder:
            predictor = TabularPredictor("truth", path=folder, verbosity=0, eval_metric="log_loss")
            limits = {"dynamic_stacking": False, "time_limit": seconds, "num_cpus": 1}
            predictor.fit(table, presets="best_quality", **limits)
            result[:, column] = predictor.predict_proba(pd.DataFrame(asked).rename(columns=str))[1]
    np.save(answers, result)


if __name__ == "__main__":
    main(*sys.argv[1:])
