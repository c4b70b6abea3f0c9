"""The only door to private names of scikit-learn, Optuna and joblib, and to what differs between versions."""

from __future__ import annotations

import contextlib
import functools
import logging
import multiprocessing
import threading
import time
import traceback
import types
import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any

import joblib
import sklearn
from joblib._utils import eval_expr
from joblib.externals.loky.backend import get_context
from joblib.parallel import BatchedCalls
from sklearn.base import _fit_context
from sklearn.model_selection._search import BaseSearchCV
from sklearn.model_selection._validation import _fit_and_score, _warn_or_raise_about_fit_failures
from sklearn.utils._param_validation import Interval, InvalidParameterError, validate_parameter_constraints
from sklearn.utils.parallel import delayed
from sklearn.utils.validation import _check_method_params, _num_samples

if TYPE_CHECKING:
    # Workers come through this door as well, and have no use for Optuna: they start without it.
    import optuna

__all__ = [
    "SEARCH_CONSTRAINTS",
    "BaseSearchCV",
    "Interval",
    "InvalidParameterError",
    "ParallelDoor",
    "ahead",
    "apart",
    "backend_url",
    "call_callbacks",
    "check_method_params",
    "check_refit",
    "check_scoring",
    "constraint_complaint",
    "fit_and_score",
    "fit_context",
    "fold_context",
    "format_results",
    "is_death",
    "is_lost_along",
    "is_of_storage",
    "journal_path",
    "listener",
    "made_of",
    "no_experimental_warnings",
    "num_samples",
    "proxy_address",
    "published_scorer",
    "quiet_optuna",
    "relational",
    "renamed",
    "root_context",
    "storage_id",
    "storage_of",
    "tells_whole_numbers_apart",
    "trial_number",
    "uncached",
    "warn_or_raise_about_fit_failures",
    "with_settings",
]

#: What scikit-learn's searches say of the parameters that ours has too.
SEARCH_CONSTRAINTS: dict[str, Any] = BaseSearchCV._parameter_constraints
fit_context = _fit_context
check_method_params = _check_method_params
num_samples = _num_samples
warn_or_raise_about_fit_failures = _warn_or_raise_about_fit_failures

#: scikit-learn 1.9 brought callbacks, and with them two more arguments of its fit-and-score.
HAS_CALLBACKS = hasattr(BaseSearchCV, "set_callbacks")

_VERSION = tuple(int(part) for part in sklearn.__version__.split(".")[:2])
#: scikit-learn's words for a splitter that does not keep its word.
INCONSISTENT_SPLITS = (
    "cv.split and cv.get_n_splits return inconsistent results. Expected {} splits, got {}"
    if _VERSION >= (1, 9)
    else "cv.split and cv.get_n_splits returned inconsistent results. Expected {} splits, got {}"
)


# --- scikit-learn ---------------------------------------------------------------------------------------------------


def fit_and_score(
    estimator: Any, X: Any, y: Any, *, caller: Any = None, callback_ctx: Any = None, **kwargs: Any
) -> dict[str, Any]:
    """Fit and score one fold as scikit-learn's own searches do, to the last bit and word."""
    if HAS_CALLBACKS:
        kwargs |= {"caller": caller, "callback_ctx": callback_ctx}
    return _fit_and_score(estimator, X, y, return_n_test_samples=True, return_times=True, **kwargs)


def format_results(
    candidates: Sequence[Mapping[str, Any]], n_splits: int, out: list[dict[str, Any]], return_train_score: bool
) -> dict[str, Any]:
    """Build ``cv_results_`` with the installed scikit-learn's own hands: its keys, dtypes, masks and ranks."""
    search = types.SimpleNamespace(return_train_score=return_train_score)
    return BaseSearchCV._format_results(search, candidates, n_splits, out)


def constraint_complaint(constraints: dict[str, Any], name: str, value: Any, caller: str) -> str | None:
    """Return scikit-learn's complaint about one parameter, or None."""
    try:
        validate_parameter_constraints(constraints, {name: value}, caller_name=caller)
    except InvalidParameterError as error:
        return str(error)
    return None


def check_scoring(search: Any) -> None:
    """Have scikit-learn look at the scoring of a search and raise what it has to say."""
    search._get_scorers()


def check_refit(search: Any, scores: Mapping[str, float]) -> None:
    """Have scikit-learn compare `refit` with the metrics there are, and raise what it has to say."""
    search._check_refit_for_multimetric(scores)


def published_scorer(scorers: Any) -> Any:
    """Return what ``scorer_`` holds: the scorers by name where there are several."""
    return getattr(scorers, "_scorers", scorers)


class _NoContext:
    """Stands for scikit-learn's callback context where there are no callbacks."""

    def subcontext(self, **_: Any) -> _NoContext:
        return self

    def call_on_fit_task_begin(self, **_: Any) -> _NoContext:
        return self

    def call_on_fit_task_end(self, **_: Any) -> None:
        return None

    @contextlib.contextmanager
    def propagate_callback_context(self, _: Any) -> Iterator[None]:
        yield


def root_context(search: Any, max_subtasks: int) -> Any:
    """Return the callback context of a fit; one that does nothing where nobody listens.

    A context holds the whole tree of tasks, and would travel to a worker process with every fold.
    """
    nested = search.estimator.get_params(deep=True).values() if hasattr(search.estimator, "get_params") else ()
    listening = hasattr(search, "_parent_callback_ctx") or any(
        getattr(one, "_skl_callbacks", None) for one in (search, search.estimator, *nested)
    )
    if not HAS_CALLBACKS or not listening:
        return _NoContext()
    return search._init_callback_context(max_subtasks=max_subtasks)


def listener(search: Any, context: Any) -> Any:
    """Return the search if its callbacks are to be told of the folds, else None."""
    return None if isinstance(context, _NoContext) else search


def fold_context(search_context: Any, task_id: int) -> Any:
    """Return the callback context of one fold, or None where nobody listens."""
    if isinstance(search_context, _NoContext):
        return None
    return search_context.subcontext(task_name="candidate-split-evaluation", task_id=task_id)


def with_settings(function: Callable[..., Any], *, in_threads: bool) -> Callable[..., Any]:
    """Wrap a function for a worker: it runs there under the caller's scikit-learn configuration and warning filters.

    Threads have the filters of their process already; setting them in each would only mix them up.
    """
    config = sklearn.get_config()
    if in_threads:
        return functools.partial(_with_config, config, function)
    wrapped = delayed(function)()[0]
    if hasattr(wrapped, "with_config_and_warning_filters"):
        return wrapped.with_config_and_warning_filters(config, warnings.filters)
    return wrapped.with_config(config)


def _with_config(config: dict[str, Any], function: Callable[..., Any], *args: Any) -> Any:
    with sklearn.config_context(**config):
        return function(*args)


def tells_whole_numbers_apart(estimator: Any, name: str) -> bool:
    """Whether 1 and 1.0 are two things for a parameter of an estimator: a number of features, and all of them."""
    step, _, last = name.rpartition("__")
    owner = estimator.get_params(deep=True).get(step) if step else estimator
    constraints = getattr(type(owner), "_parameter_constraints", {}).get(last, ())
    kinds = [one.type for one in constraints if isinstance(one, Interval)] if isinstance(constraints, list) else []
    return Integral in kinds and len(set(kinds)) > 1


def made_of(scorer: Any) -> dict[str, Any] | None:
    """Return what was given to ``make_scorer``; None for a scorer of another kind."""
    if not hasattr(scorer, "_score_func"):
        return None
    names = {"function": "_score_func", "sign": "_sign", "response": "_response_method", "options": "_kwargs"}
    return {name: getattr(scorer, inside, None) for name, inside in names.items()}


# --- Optuna ---------------------------------------------------------------------------------------------------------


class _OfAnotherThread(logging.Filter):
    """Lets through what other threads log: it is not ours to silence."""

    def __init__(self) -> None:
        super().__init__()
        self.thread = threading.get_ident()

    def filter(self, record: logging.LogRecord) -> bool:
        return record.thread != self.thread or record.levelno >= logging.ERROR


@contextlib.contextmanager
def quiet_optuna() -> Iterator[None]:
    """Keep Optuna's log lines of this thread to ourselves, without touching any logging level."""
    ours = _OfAnotherThread()
    names = [name for name in list(logging.root.manager.loggerDict) if name.partition(".")[0] == "optuna"]
    # Modules of Optuna's that are imported only now bring loggers that are not known yet: their handler is.
    places = [*map(logging.getLogger, names), *logging.getLogger("optuna").handlers]
    for place in places:
        place.addFilter(ours)
    try:
        yield
    finally:
        for place in places:
            place.removeFilter(ours)


@contextlib.contextmanager
def no_experimental_warnings() -> Iterator[None]:
    """Make an Optuna object that is marked experimental without a word about it: we chose it, not the user."""
    from optuna.exceptions import ExperimentalWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield


def call_callbacks(study: optuna.Study, calls: Callable[[], None]) -> bool:
    """Call something that may call ``study.stop()``, and return whether it did.

    Optuna allows ``stop`` inside its own loop only; ours is one as well.
    """
    inside = study._thread_local.in_optimize_loop
    study._thread_local.in_optimize_loop = True
    try:
        calls()
        return study._stop_flag
    finally:
        study._thread_local.in_optimize_loop = inside
        study._stop_flag = False


def non_domination_rank(losses: Any) -> Any:
    """Return for each row of losses how many fronts are before the one that it is on."""
    from optuna.study._multi_objective import _fast_non_domination_rank

    return _fast_non_domination_rank(losses)


def storage_id(trial: optuna.trial.FrozenTrial) -> int:
    """Return the number by which a storage knows a trial."""
    return trial._trial_id


def storage_of(study: optuna.Study) -> optuna.storages.BaseStorage:
    """Return where a study is kept."""
    return study._storage


def backend_url(storage: optuna.storages.BaseStorage) -> Any:
    """Return the URL and the options that a storage of a database connects with."""
    inner = getattr(storage, "_backend", storage)
    return getattr(inner, "url", None) or getattr(inner, "_url", None), getattr(inner, "engine_kwargs", None)


def journal_path(storage: optuna.storages.BaseStorage) -> str | None:
    """Return the file of a journal storage, or None."""
    backend = getattr(storage, "_backend", None)
    path = getattr(backend, "path", None) or getattr(backend, "_file_path", None)
    return path if isinstance(path, str) else None


def proxy_address(storage: optuna.storages.BaseStorage) -> str | None:
    """Return host and port of a storage proxy, or None."""
    from optuna.storages import GrpcStorageProxy

    return f"{storage._host}:{storage._port}" if isinstance(storage, GrpcStorageProxy) else None


def reconnect(storage: optuna.storages.BaseStorage) -> None:
    """Have a storage proxy called through a new channel: a broken one, after a fork for instance, may stay so."""
    if proxy_address(storage) is not None:
        storage._channel.close()  # type: ignore[attr-defined]
        storage._setup()  # type: ignore[attr-defined]


#: Packages whose errors say that a storage, or the way to it, has failed.
_OF_STORAGES = {"sqlalchemy", "sqlite3", "psycopg", "psycopg2", "pymysql", "MySQLdb", "grpc"}
#: Those of them that say that what was asked for makes no sense.
_OF_REQUESTS = {"IntegrityError", "DataError", "ArgumentError", "NoSuchModuleError", "StatementError"}


def is_of_storage(error: BaseException) -> bool:
    """Whether an error says that a storage has failed, and not that something in it is not as it was thought to be."""
    from optuna.exceptions import StorageInternalError

    if isinstance(error, OSError | StorageInternalError):
        return True
    if type(error) in (UnboundLocalError, AssertionError):  # what Optuna comes to when a commit has failed
        frames = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
        return bool(frames) and frames[-1].partition(".")[0] == "optuna"
    packages = {cls.__module__.partition(".")[0] for cls in type(error).__mro__}
    return not packages.isdisjoint(_OF_STORAGES) and type(error).__name__ not in _OF_REQUESTS


def uncached(storage: optuna.storages.BaseStorage) -> optuna.storages.BaseStorage:
    """Return what a storage of a database stands before, past what it remembers; any other storage as it is."""
    return relational(storage) or storage


def relational(storage: optuna.storages.BaseStorage) -> optuna.storages.RDBStorage | None:
    """Return the storage of a relational database behind a storage, or None."""
    from optuna.storages import RDBStorage

    inner = getattr(storage, "_backend", storage)
    return inner if isinstance(inner, RDBStorage) else None


def renamed(storage: optuna.storages.BaseStorage, study_id: int, name: str) -> None:
    """Tell Optuna's cache of a database that a study has another name now: it reads names only once."""
    known = getattr(storage, "_studies", {}).get(study_id)
    if known is not None and hasattr(known, "name"):
        known.name = name


def trial_number(storage: optuna.storages.BaseStorage, trial_id: int) -> int:
    """Return the number of a trial that was just made.

    Optuna's cache of a database knows it, and asks the database all the same: five queries for each trial.
    """
    known = getattr(storage, "_trial_id_to_study_id_and_number", {}).get(trial_id)
    return known[1] if known else storage.get_trial_number_from_id(trial_id)


# --- joblib ---------------------------------------------------------------------------------------------------------


class ParallelDoor:
    """joblib's configured backend, open for single tasks.

    ``joblib.Parallel`` takes a whole iterable at once. A search that decides what to run from what came
    back needs to hand in one task at a time, so this speaks with the backend behind it.
    """

    def __init__(self, n_jobs: int | None, backend: str | None = None) -> None:
        self._parallel = joblib.Parallel(n_jobs=n_jobs, backend=backend)
        self._parallel.__enter__()
        self._backend = self._parallel._backend
        self.n_workers = int(self._parallel._effective_n_jobs())
        self.is_sequential = self._is("SequentialBackend")
        if not self.is_sequential:
            self._start()

    def _start(self) -> None:
        if hasattr(self._backend, "start_call"):
            self._backend.start_call()
        self._parallel._calling = True

    def _reduce(self) -> None:
        # Arrays inside the parameters that joblib maps into memory go to this call's own folder.
        if self._is("LokyBackend"):
            self._backend._workers._temp_folder_manager.set_current_context(self._parallel._id)

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables of a worker process: how many threads numerical libraries may use in it."""
        prepare = getattr(self._backend, "_prepare_worker_env", None)
        return {} if prepare is None or self.is_sequential else prepare(n_jobs=self.n_workers)

    def _is(self, name: str) -> bool:
        return type(self._backend).__name__ == name

    @property
    def shares_memory(self) -> bool:
        """Whether the workers are threads of this process."""
        return bool(getattr(self._backend, "supports_sharedmem", False))

    @property
    def shares_files(self) -> bool:
        """Whether the workers are processes on this machine, and so can open its files."""
        return self._is("LokyBackend") or self._is("MultiprocessingBackend")

    @property
    def tells_deaths(self) -> bool:
        """Whether the death of a worker is an error of its task; multiprocessing's pools say nothing of it."""
        return not self._is("MultiprocessingBackend")

    def submit(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        done: Callable[[Callable[[], Any], dict[int, int]], None],
    ) -> None:
        """Send a task.

        Parameters
        ----------
        function, args : callable and its arguments
            What the worker calls. Some backends send an argument that is always the same object only once.
        done : callable
            Called in some thread, at least once, with a function that returns the task's result or raises
            what it raised, and with the exit codes of the workers that have ended, by their process numbers.
        """
        call = BatchedCalls([(function, args, {})], self._backend.get_nested_backend(), self._reduce)
        submit = getattr(self._backend, "submit", None) or self._backend.apply_async
        retrieve = self._backend.retrieve_result_callback
        future = submit(call, callback=lambda out: done(lambda: retrieve(out)[0], self.ended()))
        if hasattr(future, "add_done_callback"):
            # dask calls the callback on success only.
            future.add_done_callback(
                lambda ended: done(ended.result, {}) if not ended.cancelled() and ended.exception() else None
            )

    def ended(self) -> dict[int, int]:
        """Return how the workers of a broken pool of loky's ended that did so by themselves.

        It is asked for before all others are ended because of them, and holds for whoever asks later: searches in two
        threads have the same workers.
        """
        if not self._is("LokyBackend") or not (executor := self._backend._workers) or not executor._flags.broken:
            return {}
        if executor not in _ENDED:
            processes = list((executor._processes or {}).values())
            _ENDED[executor] = {one.pid: one.exitcode for one in processes if one.exitcode is not None}
        return _ENDED[executor]

    def renew(self) -> None:
        """Have new workers, after one has died and taken all others with it."""
        with _renewing:
            self.ended()
            self._backend.abort_everything(ensure_ready=True)

    def close(self, abort: bool) -> None:
        """Give the workers back; with `abort`, what they are at is given up first."""
        if abort and not self.is_sequential and hasattr(self._backend, "abort_everything"):
            self._let_loky_settle()
            self._backend.abort_everything(ensure_ready=False)
        self._parallel.__exit__(None, None, None)

    def _let_loky_settle(self) -> None:
        """Wait until loky has noticed every task: its thread dies of one that comes after the word to stop."""
        if not self._is("LokyBackend"):
            return
        noticed_by = time.monotonic() + 1
        while not self._backend._workers._work_ids.empty() and time.monotonic() < noticed_by:
            time.sleep(0.001)


#: Threads that renew a pool at once would each make one, and end that of the other.
_renewing = threading.Lock()
#: How the workers of a broken pool of loky's ended by themselves.
_ENDED: weakref.WeakKeyDictionary[Any, dict[int, int]] = weakref.WeakKeyDictionary()
#: What dask raises in the place of a task that needed something which was on a worker that is gone.
_LOST_ALONG = {"FutureCancelledError", "CancelledError"}
#: What backends raise in the place of a task whose worker is gone: loky, dask, ray.
_DEATHS = {"TerminatedWorkerError", "KilledWorker", "WorkerCrashedError", "OutOfMemoryError", *_LOST_ALONG}


def is_death(error: BaseException) -> bool:
    """Whether a task failed because a worker is gone."""
    return any(cls.__name__ in _DEATHS for cls in type(error).__mro__)


def is_lost_along(error: BaseException) -> bool:
    """Whether a task was lost because of what another one did to a worker."""
    return any(cls.__name__ in _LOST_ALONG for cls in type(error).__mro__)


def apart(function: Callable[..., Any], args: tuple[Any, ...], environment: dict[str, str]) -> Any:
    """Start a process that calls a function, and that does not need to know the main module.

    Returns
    -------
    process, connection
        The connection is the end of a pipe whose other end is the first argument of the function.
    """
    context = get_context("loky")
    connection, theirs = context.Pipe()
    process = context.Process(target=function, args=(theirs, *args), env=environment)
    with _no_daemon():
        process.start()
    theirs.close()
    return process, connection


#: Held while this process passes for one that may have children.
_starting = threading.Lock()


@contextlib.contextmanager
def _no_daemon() -> Iterator[None]:
    """Let a daemonic process, as workers of dask are, have a child for once: one that does not outlive it."""
    config = multiprocessing.current_process()._config  # type: ignore[attr-defined]
    with _starting:
        daemon = config.pop("daemon", None)
        try:
            yield
        finally:
            if daemon is not None:
                config["daemon"] = daemon


def ahead(pre_dispatch: int | str | None, n_workers: int) -> float:
    """Return how many tasks may be with the workers at once, from joblib's ``pre_dispatch``."""
    if pre_dispatch in ("all", None):
        return float("inf")
    text = str(pre_dispatch).replace("n_jobs", str(n_workers))
    return max(n_workers, int(eval_expr(text)))
