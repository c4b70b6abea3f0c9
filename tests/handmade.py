"""Studies whose trials were never fitted, made from records: large ones, odd ones, hostile ones."""

import datetime

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from optuna_search._goals import directions, goals_in
from optuna_search._header import Header
from optuna_search._record import FAILURE, RECORD, Failure, Fold, Record, encode

START = datetime.datetime(2026, 1, 1, 12)


def folds(*scores, **metrics):
    """The folds of a trial by their scores, or by those of several metrics; None is one that was not run."""
    by_metric = metrics or {"score": scores}
    columns = zip(*by_metric.values(), strict=True)
    return tuple(
        None
        if row[0] is None
        else Fold(dict(zip(by_metric, row, strict=True)), {}, 0.1 + i, 0.01, multimetric=bool(metrics))
        for i, row in enumerate(columns)
    )


def trial(number, params, record, values, *, distributions=None, seconds=1.0, attrs=None):
    """A finished trial as a storage has it."""
    encoded = encode(record, values)
    state = TrialState.PRUNED if record.pruned else TrialState.FAIL if values is None else TrialState.COMPLETE
    failed = {FAILURE: "ValueError: no"} if state == TrialState.FAIL else {}
    return FrozenTrial(
        number=number, trial_id=number, state=state, value=None, values=values, params=params,
        datetime_start=START + datetime.timedelta(seconds=number),
        datetime_complete=START + datetime.timedelta(seconds=number + seconds),
        distributions=distributions or {name: distribution(value) for name, value in params.items()},
        user_attrs=failed | {RECORD: encoded} | (attrs or {}), system_attrs={}, intermediate_values={},
    )  # fmt: skip


def distribution(value):
    """Some distribution that a value comes from."""
    if isinstance(value, str):
        return CategoricalDistribution(sorted({value, "another"}))
    return IntDistribution(-10_000, 10_000) if isinstance(value, int) else FloatDistribution(-1e9, 1e9)


def study(trials, *, name="made", n_folds=3, objective="score", scoring="accuracy", space=None, storage=None, **header):
    """A study of ours that holds these trials."""
    fingerprint = {
        "X": {"dtype": "float64", "shape": [150, 4], "values": "0"},
        "y": {"dtype": "int64", "shape": [150], "values": "0"},
        "metadata": {},
        "splits": {"folds": n_folds, "indices": "0"},
        "scoring": scoring,
        "error_score": "nan",
        "objective": objective,
        "estimator": {"class": "sklearn.svm.SVC"},
        "space": space or {"x": "numbers from 0.0 to 1.0"},
    } | header
    made = optuna.create_study(study_name=name, storage=storage, directions=directions(goals_in(objective)))
    made.set_user_attr(RECORD, Header(fingerprint, {"python": "3.11"}, "SVC()", [(100, 50)] * n_folds).encode())
    made.add_trials(trials)
    return made


def measured(rows, **how):
    """A study of complete trials, from their parameters and their score, which is the same in all of three folds."""
    trials = [trial(i, params, Record(params, folds(*[float(score)] * 3)), [float(score)])
              for i, (params, score) in enumerate(rows)]  # fmt: skip
    return study(trials, **how)


def large(n_trials=2000, n_params=12, seed=0):
    """A study of many trials with many parameters, a third of them pruned, a few failed; `p0` matters most."""
    rng = np.random.default_rng(seed)
    found = {f"p{i}": FloatDistribution(1e-3, 1.0, log=i % 2 == 0) for i in range(n_params - 1)}
    found["kind"] = CategoricalDistribution(["a", "b", "c"])
    trials = []
    for number in range(n_trials):
        params = {name: float(np.exp(rng.uniform(np.log(1e-3), 0))) for name in found if name != "kind"}
        params["kind"] = "abc"[rng.integers(3)]
        mean = 1 + np.log10(params["p0"]) / 4 - 0.1 * (params["kind"] == "b")
        scores = [float(mean + 0.01 * i + rng.normal(0, 0.01)) for i in range(5)]
        if number % 3 == 1:
            record, values = (
                Record(params, folds(*scores[:2], None, None, None), pruned=True),
                [float(np.mean(scores[:2]))],
            )
        elif number % 101 == 2:
            failed = Fold({}, {}, 0.1, 0.0, Failure("ValueError", "no", "Traceback"))
            record, values = Record(params, (failed,) * 5), None
        else:
            record, values = Record(params, folds(*scores)), [float(np.mean(scores))]
        trials.append(trial(number, params, record, values, distributions=found))
    return study(trials, name="large", n_folds=5, space=dict.fromkeys(found, "numbers from 0.001 to 1.0"))
