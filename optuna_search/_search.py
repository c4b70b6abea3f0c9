"""`OptunaSearchCV`: checks what was asked, calls the rooms below in order, publishes."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.trial import FrozenTrial
from sklearn.base import clone
from sklearn.utils import indexable

from optuna_search import _measure, _parameters, _request
from optuna_search._compat import (
    BaseSearchCV,
    check_method_params,
    fit_context,
    fold_context,
    listener,
    published_scorer,
    root_context,
    storage_of,
)
from optuna_search._engine import Engine
from optuna_search._evaluate import Evaluation, prefix_of, refit
from optuna_search._fingerprint import data_digest, fingerprint, in_use, short_name, versions
from optuna_search._fork import Parent, check_whole, fork, forked, report_of
from optuna_search._goals import objective_of
from optuna_search._header import Header
from optuna_search._honest import bias_in
from optuna_search._kept import Kept, candidate_of
from optuna_search._leaderboard import Leaderboard
from optuna_search._lease import renewed
from optuna_search._opening import create_or_continue, open_existing, unique_name, warn_of_foreign_trials
from optuna_search._progress import Progress, watching
from optuna_search._propose import Proposals
from optuna_search._prune import Pruning, Step, first_fold_leads, steps_of
from optuna_search._reading import labels_of, results_of, setup_of, texts_of
from optuna_search._record import FAILURE, Climb, Record, counts, measured_here
from optuna_search._rescue import reachable, refit_told_apart, rescued, take_in_spilled
from optuna_search._resource import resource_of, training_of, whole_estimator
from optuna_search._results import (
    best_iteration,
    is_multimetric,
    metrics_of,
    report_failed_fits,
    why_given_up,
    why_nothing_wins,
)
from optuna_search._signals import tidied_up_on_sigterm
from optuna_search._space import AnySpace
from optuna_search._storage import open_storage, without_password
from optuna_search._store import Store
from optuna_search._tokens import token
from optuna_search._uncertainty import fold_ratio
from optuna_search._url import Protected
from optuna_search._warned import tell
from optuna_search._workers import open_workers
from optuna_search.callbacks import is_over
from optuna_search.exceptions import InvalidRequestError, NoResultError, StorageError

#: The attributes of a fitted search that are not for its users.
_HIDDEN = ("_study", "_study_name", "_parent", "_metric", "_goals", "_texts", "_fold_sizes", "_labels")


class OptunaSearchCV(BaseSearchCV):
    """Search over the parameters of an estimator by cross-validated trials in an Optuna study.

    A call of scikit-learn's ``GridSearchCV`` runs with only its class name changed, and gives the same
    ``cv_results_``, row for row. With ``n_trials`` a sampler chooses the candidates; with ``storage`` every
    finished trial is kept, and a search that was killed is finished by running it again.

    Parameters
    ----------
    estimator : estimator
        What is searched: any scikit-learn estimator, a Pipeline for instance. It is cloned for every fit.
    param_distributions : dict, list of dict, or callable
        The space. A dict maps each parameter to a distribution of ``optuna.distributions``, a frozen
        ``scipy.stats`` distribution, or a sequence of choices, which may be any objects. Of a list of such
        dicts each trial draws one and only its parameters. A callable ``space(trial) -> dict`` is Optuna's
        define-by-run style: it calls ``trial.suggest_float``, ``suggest_int``, ``suggest_categorical`` and
        returns what to give to ``set_params``; before the first trial it is called to see what it returns.
        ``uniform``, ``loguniform`` and ``randint`` of scipy become the same ranges of Optuna; any other
        distribution is searched on its quantiles, so that its shape is the prior.
    param_grid : dict, list of dict, or callable
        Another name for `param_distributions`, so that a ``GridSearchCV`` call needs no other change.
    n_trials : int, default=None
        The number of finished trials that the *study* shall have in the end, whoever runs them: this process,
        an earlier one, or several at once. Trials that a fork takes over do not count.
        None: with `n_fits` or `timeout`, as many as they allow; else a grid is searched whole; else 50,
        which is enough for a sampler to learn from in a space of a few parameters.
    n_fits : int, default=None
        The same in fits of a fold; one with a part of a `resource` is that part of a fit. The trial in the air when
        it is reached is finished. With neither `sampler` nor `pruner` the trials race for it, unless it suffices for
        a whole grid: many candidates are seen on a fold or two, few on all, and the sampler learns from each.
    timeout : float, default=None
        Seconds for the whole search. It stops between folds; the best so far is the result. A fold that is
        still at work has a tenth of that time left, 3 seconds at least, and is then given up; with ``n_jobs=1`` and
        no `fit_timeout` it runs in this process, where nothing can interrupt it.
    fit_timeout : float, default=None
        Seconds for one fold's fit and score. A fold that takes longer has failed, with the reason "timeout after
        ... s", whatever it is at: fits then run in processes of their own, one for each worker, also with
        ``n_jobs=1`` and with threads. None: fits take as long as they take.
    sampler : str or optuna.samplers.BaseSampler, default=None
        "tpe", "random", "grid", "qmc", "cmaes", "gp", "nsgaii", "nsgaiii", "brute-force", or an Optuna
        sampler, which is copied and never changed. "random" over lists draws without replacement, the very
        candidates of ``RandomizedSearchCV``. "cmaes" and "gp" need a package each (extras ``cmaes``, ``gp``).

        None: a grid is searched whole, in the order of ``ParameterGrid``, unless `n_trials` or `n_fits` is too
        small for that. Everything else is searched by the tree-structured Parzen estimator [1]_ over all
        parameters jointly; where the space is conditional (a list of dicts, a callable), over each group of
        parameters that occur together. It needs no package and a few milliseconds a trial, takes every kind of
        parameter, and no other part of Optuna's was found better for up to 300 fits (`docs/fewer_fits.md` has the
        figures). The same for several goals, where it models the candidates by the fronts that they are on [2]_;
        "cmaes" pursues one goal only.
    pruner : str or optuna.pruners.BasePruner, default=None
        What ends a hopeless trial early. It is asked after each fold and sees the mean so far; with `resource` after
        each rung. A trial that was pruned keeps the folds that it ran, counts for `n_trials`, and never wins. The
        sampler is told what its score would have come to, by how complete trials went on from there.

        "racing" predicts what the trial would come to, from how complete ones went on from there, and ends it when
        that is unlikely to be the best, see `optuna_search.pruners.RacingPruner`. "median", "percentile" (the best
        quarter goes on), "wilcoxon" (which sees the score of each fold), "successive-halving", "hyperband" and
        "patient" (the median's, twice in a row) are Optuna's with its defaults; "threshold" ends what is worse
        than a guess that ignores the data. An Optuna pruner is copied and never changed.
        None: "racing" with `resource`, and with `n_fits` where no `sampler` is given and no grid searched whole; else
        every trial runs all its folds, as in ``GridSearchCV``. ``optuna.pruners.NopPruner()`` prunes nothing.
    resource : str, default=None
        What trials get more and more of, each rung in all folds: "n_samples" of the training part; an integer
        parameter, such as "n_estimators" or "clf__max_iter", whose training goes on from rung to rung where the
        estimator can (``warm_start``, LightGBM, XGBoost, CatBoost); "partial_fit", passes over the training
        data. Where trials race, only the first fold goes from rung to rung, and the others get the whole at once.
        Only trials that had the whole of it can win, and the best one is refitted with the whole.
    min_resources : int or {"auto", "smallest", "exhaust"}, default="auto"
        The least of the first rung. "smallest" and "exhaust": 1, for samples twice the folds times the classes.
        "auto": the same, with four rungs at most, for the first ones of many tell little and cost time.
    max_resources : int or "auto", default="auto"
        The whole. "auto": all samples of the training part; the number that the estimator has; 27 passes.
    factor : float, default=3
        How many times more a rung gets than the one before, as in scikit-learn's halving searches. For
        "successive-halving" and "hyperband" also which share of the trials goes on, over folds as well.
    initial_params : list of dict or "default", default=None
        Points to try first, complete or partial, or "default": the estimator's own values where they lie in
        the space, so that the result is no worse than theirs. None: no such point, because on the tasks that the
        default was measured on it did not pay for its fits.
    objectives : sequence of str, default=None
        What the sampler pursues: metrics of `scoring`, which are maximised, and "fit_time" and "score_time", the mean
        seconds over the folds, which are minimised; with one scorer its metric is "score", or its name. With several
        goals there is a Pareto front, ``pareto_front_``, and no trial is pruned, because no pruner compares by more
        than one; `refit` chooses from ``cv_results_`` as ever. None: the metric named by `refit`, else the first.
    storage : str, Path, or optuna.storages.BaseStorage, default=None
        Where trials are kept. None: in memory. A path: an SQLite file; if it ends in ``.journal``, Optuna's
        journal file. A URL such as ``postgresql+psycopg://user:${PGPASSWORD}@host/database``: a database
        server; ``${VAR}`` is read from the environment when connecting. A password written out is masked
        wherever it could be seen and left out of pickles.
    study_name : str, default=None
        None: every ``fit`` makes a new study with a readable name of its own. With a name the study is made,
        or continued if it is there and was measured on the same data, folds, scoring, estimator and space.
        ``{data}`` in it becomes eight characters that stand for the data: in nested cross-validation each
        outer fold then has a study of its own, which a rerun continues.
    fork_of : str or Parent, default=None
        The study whose trials this one begins with: the name of one in the same storage, or what `fork` sets here.
    scoring, n_jobs, refit, cv, pre_dispatch, error_score, return_train_score
        As in ``GridSearchCV``, with its defaults. Tasks go to joblib's configured backend one by one, so no
        worker waits for a straggler.
    verbose : int, default=0
        0 prints nothing; 1 shows a progress bar on stderr; 2 a line for each trial; from 3 on the lines of
        scikit-learn for each fold.
    random_state : int, RandomState instance or None, default=None
        With an int and ``n_jobs=1`` two searches give the same trials. A continued search draws new numbers.
    callbacks : callable or list of callable, default=None
        Called with ``(study, frozen_trial)`` after each trial, in this process; ``study.stop()`` in one of
        them ends the search. `optuna_search.callbacks` has two that do so, ``NoImprovement`` and ``TargetReached``.

    Attributes
    ----------
    cv_results_ : dict of str to array
        As in ``GridSearchCV``, one row for each finished trial in trial order, and ``trial_number`` and
        ``trial_state`` ("COMPLETE", "PRUNED", "FAIL"); with `resource` also ``n_resources``, the amount that the
        scores of the row are of. A fold that was not run is NaN, the mean of a pruned row is, too, and its rank is
        last. In a fork also ``trial_origin``, which says where a trial that was carried over was measured. Times
        are in seconds.
    best_estimator_ : estimator
        The best candidate, fitted on all data; only with `refit`.
    best_score_ : float
        Its mean score over the folds; only if `refit` is not a function. As the best of many it is too good.
    best_score_corrected_ : float
        The same without what the winner is expected to owe to luck in these folds, at no further fit: the coupled
        bootstrap [3]_ on the scores of the folds, which was compared with leaving folds out, with drawing them, and
        with the estimate of Tibshirani and Tibshirani. It allows for how many candidates there were, how alike they
        are, how much their scores vary, and for those that were pruned, and is never more than ``best_score_``. It has
        an error of its own, about that of a mean over so many folds. Differences that are small enough to be luck it
        takes for luck, and is too low where they are not; what cross-validation itself has too low (fewer training
        samples, small test parts for R²) stays. `docs/honest_scores.md` has the figures. There wherever
        ``best_score_`` is; NaN with one fold, where nothing tells luck from skill, and where that is not finite.
    best_params_ : dict
        Its parameters; only with one metric or with `refit`.
    best_index_ : int
        Its row of ``cv_results_``; only with one metric or with `refit`.
    scorer_ : callable or dict of str to callable
        What scored.
    n_splits_ : int
        How many folds there are.
    refit_time_ : float
        Seconds that the last fit took; only with `refit`.
    multimetric_ : bool
        Whether there were several metrics.
    classes_ : ndarray of shape (n_classes,)
        The labels; only with `refit` and for a classifier.
    n_features_in_ : int
        Only with `refit`, and if the estimator tells.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Only with `refit`, and if the estimator tells.
    top_n_ : sequence
        The leaderboard, best first: ``top_n_[0].params``, ``top_n_(3, by="roc_auc")``, ``top_n_.to_frame()``.
    pareto_front_ : sequence
        The same of the trials that no other one is better than by one goal and as good as by all others; only with
        several `objectives`.
    best_trial_ : optuna.trial.FrozenTrial
        The trial of the best row; only with one metric or with `refit`.
    study_ : optuna.Study
        The study, an ordinary one. What stands for an object in it is its token.
    n_trials_ : int
        Trials of the study that count: complete, pruned, or failed by their estimator, and measured here.
    fork_report_ : ForkReport
        What came over from the parent: ``carried``, ``filled``, ``dropped``, ``retried``, and what is tried first
        where the parent could not look, ``probed``; it prints as a table.
        Only for a fork.

    Raises
    ------
    InvalidRequestError
        At ``fit``, with every complaint about what was asked, before anything is fitted.
    StudyMismatchError
        At ``fit``, if the study of this name was measured on something else.
    StorageError
        If the storage cannot be opened; or if it fails in the middle, and then the results so far are there.
    WorkerError
        With ``error_score="raise"``, if a fit took longer than `fit_timeout` or its process died.
    NoResultError
        If no trial was finished.

    See Also
    --------
    sklearn.model_selection.GridSearchCV : The same over a grid, without memory.
    one_standard_error : A `refit` that takes the cheapest of those that are nearly as good as the best.

    References
    ----------
    .. [1] J. Bergstra, R. Bardenet, Y. Bengio, B. Kégl, "Algorithms for Hyper-Parameter Optimization",
       Advances in Neural Information Processing Systems 24 (2011).
    .. [2] Y. Ozaki, Y. Tanigaki, S. Watanabe, M. Nomura, M. Onishi, "Multiobjective Tree-Structured Parzen Estimator",
       Journal of Artificial Intelligence Research 73 (2022), 1209-1250.
    .. [3] N. L. Oliveira, J. Lei, R. J. Tibshirani, "Unbiased Risk Estimation in the Normal Means Problem via Coupled
       Bootstrap Techniques", arXiv:2111.09447 (2021). The others: I. Tsamardinos, E. Greasidou, G. Borboudakis, Machine
       Learning 107 (2018), 1895-1922; R. J. Tibshirani, R. Tibshirani, Annals of Applied Statistics 3 (2009), 822-829.

    Examples
    --------
    >>> from optuna.distributions import FloatDistribution
    >>> from optuna_search import OptunaSearchCV
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.svm import SVC
    >>> X, y = load_iris(return_X_y=True)
    >>> space = {"C": FloatDistribution(1e-2, 1e3, log=True), "kernel": ["rbf", "linear"]}
    >>> search = OptunaSearchCV(SVC(), space, n_trials=10, random_state=0).fit(X, y)
    >>> search.n_trials_, sorted(search.best_params_)
    (10, ['C', 'kernel'])
    >>> bool(search.best_score_ > 0.95)
    True
    """

    _parameter_constraints = _parameters.CONSTRAINTS

    storage = Protected()

    _study: optuna.Study | None

    def __init__(
        self,
        estimator: Any,
        param_distributions: Any = None,
        *,
        param_grid: Any = None,
        n_trials: int | None = None,
        n_fits: int | None = None,
        timeout: float | None = None,
        fit_timeout: float | None = None,
        sampler: Any = None,
        pruner: Any = None,
        resource: str | None = None,
        min_resources: int | str = "auto",
        max_resources: int | str = "auto",
        factor: float = 3,
        initial_params: Any = None,
        objectives: Sequence[str] | None = None,
        storage: Any = None,
        study_name: str | None = None,
        fork_of: Any = None,
        scoring: Any = None,
        n_jobs: int | None = None,
        refit: Any = True,
        cv: Any = None,
        verbose: int = 0,
        pre_dispatch: int | str = "2*n_jobs",
        error_score: float | str = np.nan,
        return_train_score: bool = False,
        random_state: Any = None,
        callbacks: Any = None,
    ) -> None:
        self.estimator = estimator
        self.param_distributions = param_distributions
        self.param_grid = param_grid
        self.n_trials = n_trials
        self.n_fits = n_fits
        self.timeout = timeout
        self.fit_timeout = fit_timeout
        self.sampler = sampler
        self.pruner = pruner
        self.resource = resource
        self.min_resources = min_resources
        self.max_resources = max_resources
        self.factor = factor
        self.initial_params = initial_params
        self.objectives = objectives
        self.storage = storage
        self.study_name = study_name
        self.fork_of = fork_of
        self.scoring = scoring
        self.n_jobs = n_jobs
        self.refit = refit
        self.cv = cv
        self.verbose = verbose
        self.pre_dispatch = pre_dispatch
        self.error_score = error_score
        self.return_train_score = return_train_score
        self.random_state = random_state
        self.callbacks = callbacks

    def _validate_params(self) -> None:
        """Do nothing: `fit` checks everything itself, also where scikit-learn is told to skip its own checks."""

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any = None, **params: Any) -> OptunaSearchCV:
        """Search, and fit the best candidate on all data.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The data, in any form that the estimator takes: NumPy, pandas, polars, SciPy sparse, a list of
            texts; of shape (n_samples, n_samples) for a precomputed kernel.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            The target; None for unsupervised learning.
        **params : dict of str to object
            As in ``GridSearchCV.fit``: ``groups`` for the splitter, parameters of the estimator's ``fit`` such
            as ``sample_weight``, and with metadata routing whatever was requested. What has the length of
            `X` is split along with it.

        Returns
        -------
        self : OptunaSearchCV
            The fitted search.

        Raises
        ------
        InvalidRequestError, StudyMismatchError
            Before anything is fitted.
        StorageError
            Before anything is fitted, or when the storage has failed for a minute: every fitted attribute but
            ``best_estimator_`` is set then.
        WorkerError
            With ``error_score="raise"``, if a fit did not come back.
        NoResultError
            If no trial was finished.
        ValueError
            If every fit failed.
        KeyboardInterrupt
            On Ctrl-C, with every fitted attribute set but ``best_estimator_``.
        Exception
            What a callback, a sampler, a pruner or, with ``error_score="raise"``, a fit raises, with the same set.
        """
        started = time.monotonic()
        space = _request.check(self)
        self._forget()
        scorers, _ = self._get_scorers()
        X, y = indexable(X, y)
        params = check_method_params(X, params=params)
        routed = self._get_routed_params_for_fit(params)
        about = {"estimator": self, "X": X, "y": y, "metadata": _weights(params)}
        context = root_context(self, max_subtasks=1 + (self.refit is not False))
        context.call_on_fit_task_begin(**about)

        splits = _measure.split(self, X, y, routed.splitter.split)
        _measure.check(self, X, y, params, splits)
        evaluation = Evaluation(
            whole_estimator(self), X, y, splits, scorers, routed.estimator.fit, routed.scorer.score,
            self.error_score, self.return_train_score, self.verbose, listener(self, context),
            resource_of(self, y, splits),
        )  # fmt: skip
        self.scorer_ = published_scorer(scorers)
        self.n_splits_ = len(splits)
        store = self._open(evaluation, routed, space)
        with in_use(self.scoring, self.estimator, space):
            try:
                gave_up = self._search(store, space, evaluation, context, started)
                kept = store.kept()
            except (KeyboardInterrupt, Exception) as error:
                self._leave(rescued if isinstance(error, StorageError) else reachable, store, space, error)
                raise
            self._report_failed_fits(kept)
            if gave_up:
                self._give_up(store, kept, space)
            self._publish(store, kept, space)
            self._require_a_result()
            if self.refit:
                with refit_told_apart():
                    self._refit(evaluation, kept[int(self.best_index_)].record, context, about)
        context.call_on_fit_task_end(**about)
        return self

    def _leave(self, known: Callable[[Store], Store], store: Store, space: AnySpace, error: BaseException) -> None:
        """Publish what is known where the search did not come to its end."""
        with contextlib.suppress(Exception):  # nothing that a storage or a refit has to say comes before the error
            store = known(store)
            if isinstance(error, KeyboardInterrupt | StorageError):  # what the user's own code raises comes as it is
                error.add_note(store.what_is_kept())
            self._publish(store, store.kept(), space)

    # --- before the first fit ---

    def _forget(self) -> None:
        """Drop what an earlier fit left: a search that is interrupted must not predict with an older model."""
        for name in [*vars(self)]:
            if name in _HIDDEN or (name.endswith("_") and not name.startswith("_")):
                delattr(self, name)

    def _open(self, evaluation: Evaluation, routed: Any, space: AnySpace) -> Store:
        """Open the study: a new one, or the one of this name if it was measured on the same."""
        described = {f"{step}.{name}": value for step, part in (
            ("split", routed.splitter.split), ("fit", routed.estimator.fit), ("score", routed.scorer.score)
        ) for name, value in part.items()}  # fmt: skip
        found = fingerprint(
            X=evaluation.X, y=evaluation.y, metadata=described, splits=evaluation.splits, scoring=self.scoring,
            error_score=self.error_score, objective=objective_of(_measure.goals_of(self)),
            estimator=evaluation.estimator, space=space, training=training_of(self, space),
        )  # fmt: skip
        name = self.study_name or unique_name(short_name(self.estimator))
        name = name.replace("{data}", data_digest(found))
        sizes = _measure.fold_sizes(evaluation.splits)
        header = Header(found, versions(self.estimator), token(self.estimator).text, sizes)
        parent = _request.parent_of(self)
        if parent is None:
            store, _ = create_or_continue(open_storage(self.storage), name, header)
            check_whole(store)
        else:
            is_sampled = _request.order_of(self, space) is None
            storage = open_storage(self.storage)
            store, _ = fork(parent, storage, name, header, evaluation.estimator, space, probes=is_sampled)
        take_in_spilled(store, space)
        self._note_report(store)
        warn_of_foreign_trials(store)
        return store

    def _note_report(self, store: Store) -> None:
        if (report := report_of(store)) is not None:
            self.fork_report_ = report

    # --- the search ---

    def _search(self, store: Store, space: AnySpace, evaluation: Evaluation, context: Any, started: float) -> bool:
        """Run trials until the search ends, and return whether that was because none could be scored."""
        trials = store.trials()
        budget, proposals = self._plan(trials, space, started)
        pruner = _request.pruner_of(self, space, evaluation)
        steps = steps_of(evaluation.n_splits, pruner, evaluation.amounts)
        resource = evaluation.resource
        climb = None if resource is None else Climb(resource.name, resource.whole, first_fold_leads(pruner))
        n_tasks = _n_tasks(budget, trials, steps)
        search_context = context.subcontext(task_name="search", max_subtasks=n_tasks, sequential_subtasks=False)
        search_context.call_on_fit_task_begin(estimator=self)
        goals_of = functools.partial(_measure.goals_of, self)
        progress = Progress(
            self.verbose, short_name(self.estimator), goals_of(), budget.n_trials, budget.n_fits, self.timeout
        )
        callbacks = _request.callbacks_of(self)
        watch = watching(progress, callbacks, store.study)
        engine = Engine(
            store=store, space=space, proposals=proposals, pruning=Pruning(pruner), steps=steps, climb=climb,
            n_splits=evaluation.n_splits, budget=budget, goals_of=goals_of, error_score=self._error_score,
            fold_context=functools.partial(fold_context, search_context), watch=watch, heard=progress.update,
            prefix_of=functools.partial(prefix_of, evaluation.estimator),
        )  # fmt: skip
        engine.hear()
        progress.begin()
        try:
            if not is_over(callbacks, store.study):
                limits = _request.limits_of(self, budget)
                with (
                    tidied_up_on_sigterm(),
                    open_workers(evaluation, self.n_jobs, self.pre_dispatch, limits) as workers,
                    renewed(store),
                ):
                    engine.run(workers)
            progress.complete()
        finally:
            progress.close()
            tell(engine.warned)
        search_context.call_on_fit_task_end(estimator=self)
        return engine.gave_up

    def _plan(
        self, trials: Sequence[FrozenTrial], space: AnySpace, started: float
    ) -> tuple[_request.Budget, Proposals]:
        """Return when to stop and where candidates come from, in a study that has these trials."""
        carried = [candidate_of(trial, space).key for trial in trials if not measured_here(trial)]
        budget = _request.budget_of(self, space, started, n_known=len(set(carried)))
        of_fork = self.fork_report_.first if hasattr(self, "fork_report_") else []
        first = [*_request.initial_points(self, space), *of_fork]
        n_in_all = None if budget.n_trials is None else budget.n_trials + len(carried)
        return budget, _request.proposals_of(self, space, n_in_all, len(trials), first)

    @property
    def _error_score(self) -> float:
        """What stands for the score of a failed fit; where it is "raise", none ever does."""
        return np.nan if isinstance(self.error_score, str) else float(self.error_score)

    # --- after the last one ---

    def _report_failed_fits(self, kept: Sequence[Kept]) -> None:
        """Warn of fits that failed; where all did, say how to try again what a study keeps."""
        try:
            report_failed_fits([k.record for k in kept], self.error_score)
        except ValueError as error:
            self._say_how_to_try_again(error)
            raise

    def _say_how_to_try_again(self, error: Exception) -> None:
        if self.study_name is not None:
            error.add_note("They are kept and count. To try again, give another study_name, or more n_trials.")

    def _give_up(self, store: Store, kept: Sequence[Kept], space: AnySpace) -> None:
        """Raise what every trial so far has come to, before a `refit` that is a function finds nothing to choose."""
        error = NoResultError(why_given_up([k.trial.user_attrs.get(FAILURE) for k in kept]))
        self._say_how_to_try_again(error)
        self._leave(reachable, store, space, error)
        raise error

    def _publish(self, store: Store, kept: Sequence[Kept], space: AnySpace | None) -> None:
        """Set every fitted attribute but the refitted estimator, as far as there is something to set."""
        header = store.header()
        setup = setup_of(header, return_train_score=self.return_train_score)
        self._study, self._study_name = store.study, store.study.study_name
        raw = self.param_distributions if self.param_grid is None else self.param_grid
        # A study in memory is found nowhere else.
        storage = store.storage if isinstance(store.storage, InMemoryStorage) else self.storage
        self._parent = Parent(self._study_name, storage, whole_estimator(self), raw, header.get("id"))
        self.n_trials_ = sum(measured_here(k.trial) for k in kept)
        if not kept:
            return
        records = [k.record for k in kept]
        self._texts, self._fold_sizes, self._labels = texts_of(kept), setup.fold_sizes, labels_of(header, kept)
        self.multimetric_ = is_multimetric(records)
        self.cv_results_ = results = results_of(store, kept, space, setup)
        named = self.multimetric_ and isinstance(self.refit, str)
        self._metric, self._goals = self.refit if named else setup.metric(kept), setup.named(kept)
        if self.refit or not self.multimetric_:
            self.best_index_ = self._select_best_index(self.refit, self._metric, results)
            if not callable(self.refit):
                self.best_score_ = results[f"mean_test_{self._metric}"][self.best_index_]
                ratio = fold_ratio(setup.fold_sizes, setup.n_splits)
                self.best_score_corrected_ = self.best_score_ - bias_in(results, self._metric, ratio)
            self.best_params_ = results["params"][self.best_index_]
            self.best_trial_ = kept[int(self.best_index_)].trial

    def _require_a_result(self) -> None:
        """Refuse to end well where there is nothing.

        Raises
        ------
        NoResultError
            If no trial was finished, every score is plus infinity, or no trial has a score by each of several goals.
            Where every score is NaN, the first row is taken and scikit-learn's warning says so, as in ``GridSearchCV``.
        """
        if not hasattr(self, "cv_results_"):  # in a fork there may be results and no trial of its own
            raise NoResultError(
                f"Not one trial was finished before the search ended (timeout={self.timeout!r}); give it more time."
            )
        if not hasattr(self, "best_index_"):  # several metrics, of which none chooses
            return
        if why := why_nothing_wins(self.cv_results_, self._metric, self.refit, self.best_index_, len(self._goals)):
            raise NoResultError(why)

    def _refit(self, evaluation: Evaluation, record: Record, context: Any, about: dict[str, Any]) -> None:
        """Fit the best candidate on all data."""
        # The parameters are cloned as well: they may be estimators.
        best = clone(evaluation.estimator).set_params(**clone(self.best_params_, safe=False))
        if evaluation.resource is not None:
            best = evaluation.resource.whole_of(best)
        if (n_iterations := best_iteration(record)) is not None:
            from optuna_search._early import fixed

            best = fixed(best, n_iterations)
        refit_context = context.subcontext(task_name="refit-with-best-params")
        with refit_context.propagate_callback_context(best):
            refit_context.call_on_fit_task_begin(**about)
            started = time.time()
            best = refit(best, evaluation)
            self.refit_time_ = time.time() - started
        self.best_estimator_ = best  # only now: one that is interrupted in its fit is none
        if hasattr(self.best_estimator_, "feature_names_in_"):
            self.feature_names_in_ = self.best_estimator_.feature_names_in_
        refit_context.call_on_fit_task_end(**about)

    # --- reading it ---

    @property
    def top_n_(self) -> Leaderboard:
        """The leaderboard: the trials with a score, best first, as a sequence that shows itself as a table.

        ``top_n_[0]`` is the best, ``top_n_(3)`` are the first three, and ``top_n_(3, by="roc_auc")`` those by another
        metric or by a time; ``top_n_.to_frame()`` is a pandas data frame. An entry has ``rank``,
        ``trial_number``, ``params``, ``score``, ``std``, ``standard_error``, ``confidence_interval``,
        ``is_tied_with_best``, ``metrics`` and ``origin``; `docs/leaderboard.md` says what they are.
        """
        if "cv_results_" not in vars(self):
            raise AttributeError(f"{type(self).__name__} object has no attribute 'top_n_': it is not fitted.")
        return Leaderboard(
            self.cv_results_, self._metric, self._texts, self._goals, fold_sizes=self._fold_sizes, labels=self._labels
        )

    @property
    def pareto_front_(self) -> Leaderboard:
        """The leaderboard of the trials that no other one is better than by one goal, and as good as by all others.

        It is there only with several goals; see `docs/several_goals.md`.
        """
        if "cv_results_" not in vars(self):
            raise AttributeError(f"{type(self).__name__} object has no attribute 'pareto_front_': it is not fitted.")
        if len(self._goals) == 1:
            raise AttributeError(f"pareto_front_ is there with several objectives; see top_n_ for {self._metric!r}.")
        return self.top_n_.pareto_front()

    @property
    def study_(self) -> optuna.Study:
        """The study, an ordinary ``optuna.Study``."""
        if "_study" not in vars(self):
            raise AttributeError(f"{type(self).__name__} object has no attribute 'study_': it is not fitted.")
        if self._study is None:  # it went through a pickle
            self._study = open_existing(open_storage(self.storage, to_read=True), self._study_name).study
        return self._study

    def fork(self, new_space: Any, *, study_name: str | None = None, **params: Any) -> OptunaSearchCV:
        """Return an unfitted search that goes on from this study in another space.

        Its ``fit`` compares. If data, splits, scoring and estimator are those of this search, every finished
        trial that is a point of the new space comes over with all its fold scores and counts as known, though
        not for `n_trials`: ranges and choices may grow or shrink, a parameter that is new takes the value that
        the estimator had, and one that is gone must have the value that the estimator has now. If they are
        others, scores mean nothing there, and the best points of this study are tried first instead. What came
        over stands in ``fork_report_``. This search and its study never change.

        Parameters
        ----------
        new_space : dict, list of dict, or callable
            The keys of a dict replace those of this search's space (in a list of dicts, wherever they stand; a
            new key is added to all); a list with one element pins a parameter. A list of dicts or a callable
            replaces the whole space, and so may leave parameters out.
        study_name : str, default=None
            The name of the new study, as in `OptunaSearchCV`.
        **params : dict
            Other parameters of the new search: another `storage`, `n_trials`, `scoring`, or `sampler`. All
            others are those of this search, but for a list of `initial_params`, which was tried.

        Returns
        -------
        search : OptunaSearchCV
            With `fork_of` set, so that it survives ``clone`` and pickling.

        Raises
        ------
        InvalidRequestError
            If this search has no study yet, or if the parameters cannot be used.
        SpaceError
            If `new_space` does not say what the whole space is.

        Examples
        --------
        >>> from optuna.distributions import FloatDistribution
        >>> from optuna_search import OptunaSearchCV
        >>> from sklearn.datasets import load_iris
        >>> from sklearn.svm import SVC
        >>> X, y = load_iris(return_X_y=True)
        >>> search = OptunaSearchCV(SVC(), {"C": [0.1, 1], "kernel": ["rbf"]}).fit(X, y)
        >>> wider = search.fork({"C": FloatDistribution(1e-2, 1e2, log=True)}, n_trials=5).fit(X, y)
        >>> len(wider.fork_report_.carried), wider.n_trials_, len(wider.cv_results_["params"])
        (2, 5, 7)
        """
        if not hasattr(self, "_parent"):
            raise InvalidRequestError("This search has no study to fork yet: call fit first, or from_study.")
        made: OptunaSearchCV = forked(self, self._parent, new_space, study_name, params)
        return made

    def __sklearn_clone__(self) -> OptunaSearchCV:
        """Return an unfitted copy that keeps its trials where this one does: a storage object is not copied."""
        without = object.__new__(type(self))
        without.__dict__ |= vars(self) | {"storage": None}
        made: OptunaSearchCV = super(OptunaSearchCV, without).__sklearn_clone__()
        made.storage = self.storage
        return made

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if state.get("_study") is not None and not isinstance(storage_of(state["_study"]), InMemoryStorage):
            state["_study"] = None
        if isinstance(state.get("storage"), BaseStorage):
            state["storage"] = without_password(state["storage"])
        return state

    @classmethod
    def from_study(
        cls, study_name: str, storage: Any, estimator: Any, param_distributions: Any = None, **params: Any
    ) -> OptunaSearchCV:
        """Return the results of a kept study without any data; ``fit(X, y)`` continues it.

        Parameters
        ----------
        study_name : str
            The name of the study.
        storage : str, Path, or optuna.storages.BaseStorage
            Where it is kept.
        estimator : estimator
            What was searched. To continue the study it must be the same, with the same parameters.
        param_distributions : dict, list of dict, or callable, default=None
            The space. Without it plain choices come back as they are and objects as their tokens, and ``fit``
            asks for it.
        **params : dict
            Further parameters of the search; those that the scores depend on (`cv`, `scoring`,
            `error_score`) must be the same to continue.

        Returns
        -------
        search : OptunaSearchCV
            With ``cv_results_``, ``top_n_``, ``best_params_`` and the like, and no ``best_estimator_``; with
            ``n_trials=search.n_trials_``, `fit` fits that one and tries nothing more.

        Raises
        ------
        StorageError
            If there is no such study, or it is none of ours.
        NoResultError
            If it has no finished trial.

        Examples
        --------
        >>> import tempfile
        >>> from optuna_search import OptunaSearchCV
        >>> from sklearn.datasets import load_iris
        >>> from sklearn.svm import SVC
        >>> X, y = load_iris(return_X_y=True)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = f"{folder}/searches.db"
        ...     _ = OptunaSearchCV(SVC(), {"C": [1, 10]}, storage=path, study_name="svc").fit(X, y)
        ...     kept = OptunaSearchCV.from_study("svc", path, SVC())
        >>> len(kept.top_n_)
        2
        """
        search = cls(estimator, param_distributions, storage=storage, study_name=study_name, **params)
        complaints = [complaint for _, complaint in _parameters.complaints(search)]
        if search.study_name is None:
            complaints.append(f"study_name={study_name!r}: say which study.")
        if complaints:
            raise InvalidRequestError(complaints)
        store = open_existing(open_storage(search.storage, to_read=True), study_name)
        space = (
            None if param_distributions is None and params.get("param_grid") is None else _request.read_space(search)
        )
        warn_of_foreign_trials(store)
        search.n_splits_ = setup_of(store.header()).n_splits
        kept = store.kept()
        if not any(fold.test for k in kept for fold in k.record.run):
            raise NoResultError(
                f"study_name={study_name!r} has nothing to show: "
                + (f"every fit of its {len(kept)} trials failed." if kept else "not one of its trials is finished.")
            )
        metrics = metrics_of([k.record for k in kept])
        if len(metrics) > 1 and isinstance(search.refit, str) and search.refit not in metrics:
            raise InvalidRequestError(f"refit={search.refit!r} is not a metric of the study: {', '.join(metrics)}.")
        search._publish(store, kept, space)
        search._note_report(store)
        search._require_a_result()
        return search


def _n_tasks(budget: _request.Budget, trials: Sequence[FrozenTrial], steps: Sequence[Step]) -> int | None:
    """Return how many tasks scikit-learn's callbacks are told of at most; None if that is not known."""
    if budget.n_trials is None:
        return None
    n_left = budget.n_trials - sum(counts(trial) and measured_here(trial) for trial in trials)
    # What has no task inside would not be shown.
    return n_left * sum(len(step.folds) for step in steps) if n_left > 0 else None


def _weights(params: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what scikit-learn's callbacks are told of the fit parameters."""
    weights = params.get("sample_weight")
    return None if weights is None else {"sample_weight": weights}
