"""What each command does, and what it shows: a text for people, and the same as data for programs."""

from __future__ import annotations

import math
import os
import sys
from argparse import Namespace
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from optuna.trial import FrozenTrial

from optuna_search import studies
from optuna_search._arguments import VARIABLE, UsageError
from optuna_search._leaderboard import Leader, Leaderboard
from optuna_search._opening import open_existing
from optuna_search._reading import leaderboard_of
from optuna_search._record import FAILURE, counts, measured_here
from optuna_search._report import report
from optuna_search._run import Outcome, open_store, run
from optuna_search._serving import in_a_url, require_grpc
from optuna_search._storage import in_plain_words, open_storage
from optuna_search._store import Store
from optuna_search._summary import flat
from optuna_search._tables import printable, shortened
from optuna_search._tokens import MAX_LENGTH as MAX_TOKEN
from optuna_search._url import mask

#: So many reasons of failures are listed.
MAX_REASONS = 5
#: What is said of a study gets no longer than this.
MAX_FACT = 160
#: So many trials are shown at the end of a run.
TOP = 5


@dataclass(frozen=True)
class Answer:
    """What a command came to."""

    text: str
    data: Any
    #: The exit code.
    code: int = 0
    #: What went wrong, where there is something to show all the same.
    complaint: str | None = None
    #: What else a person should know.
    remark: str | None = None


def storage_of(args: Namespace) -> str:
    """Return where studies are kept.

    Raises
    ------
    UsageError
        If nobody said.
    """
    given = args.storage or os.environ.get(VARIABLE)
    if not given:
        raise UsageError(f"where are the studies? Give --storage, or set the environment variable {VARIABLE}.")
    return str(given)


# --- looking ----------------------------------------------------------------------------------------------------------


def _list(args: Namespace) -> Answer:
    found = studies.list_studies(storage_of(args))
    return Answer(repr(found), [vars(entry) for entry in found])


def _opened(args: Namespace) -> Store:
    storage = storage_of(args)
    opened = open_storage(storage, to_read=True)
    with in_plain_words(storage):
        return open_existing(opened, args.name)


def _show(args: Namespace) -> Answer:
    store = _opened(args)
    with in_plain_words(storage_of(args)):
        entry = next(one for one in studies.list_studies(store.storage) if one.name == args.name)
        header, board, trials = store.header(), leaderboard_of(store), store.trials()
    failed, given_up = (_reasons(t for t in trials if counts(t) == counted) for counted in (True, False))
    data = {
        **vars(entry),
        "measured_on": header["fingerprint"],
        "fold_sizes": header.get("fold_sizes", []),
        "versions": header.get("versions", {}),
        "best": _leader(board[0]) if board else None,
        "best_score_corrected": board.best_score_corrected,
        "failures": failed,
        "given_up": given_up,
        "carried_over": sum(counts(t) and not measured_here(t) for t in trials),
    }
    return Answer(_facts(_described(data, board)), data)


def _reasons(trials: Iterable[FrozenTrial]) -> list[dict[str, Any]]:
    """Return why trials failed, or did not come to their end, the commonest reason first."""
    counted = Counter(str(t.user_attrs[FAILURE]) for t in trials if FAILURE in t.user_attrs)
    return [{"reason": reason, "trials": n} for reason, n in counted.most_common()]


def _described(data: Mapping[str, Any], board: Leaderboard) -> dict[str, str]:
    """Return what there is to say of a study, line by line."""
    made_with = data["measured_on"]
    dates = [data[name] for name in ("started", "last_written")]
    return {
        "study": f"{data['name']} ({data['state']})",
        "estimator": shortened(data["estimator"] or "", MAX_TOKEN),
        **{part: _flat(made_with.get(part)) for part in ("X", "y", "metadata")},
        "folds": f"{made_with['splits']['folds']} (train + test: {_sizes(data['fold_sizes'])})",
        **{part: _flat(made_with.get(part)) for part in ("scoring", "objective", "error_score", "space")},
        "versions": _flat(data["versions"]),
        "trials": ", ".join(f"{n} {state.lower()}" for state, n in data["trials"].items() if n) or "none",
        "best": _best(board),
        "corrected": _corrected(board.best_score_corrected),
        "failures": _listed(data["failures"]),
        "given up": _listed(data["given_up"]),
        "forked from": _lineage(data["forked_from"], data["carried_over"]),
        "written": " to ".join(f"{date:%Y-%m-%d %H:%M}" for date in dates if date),
    }


def _lineage(parent: str | None, carried_over: int) -> str:
    return "" if parent is None else f"{parent}, with {carried_over} of the trials"


def _flat(value: Any) -> str:
    return shortened(flat(value, " "), MAX_FACT)


def _listed(reasons: Sequence[Mapping[str, Any]]) -> str:
    lines = [f"{one['trials']} × {shortened(one['reason'], MAX_FACT)}" for one in reasons[:MAX_REASONS]]
    more = len(reasons) - MAX_REASONS
    return "\n".join([*lines, *([f"and {more} reasons more"] if more > 0 else [])])


def _sizes(sizes: Sequence[Sequence[int]]) -> str:
    counted = Counter(f"{train} + {test}" for train, test in sizes)
    return ", ".join(f"{n} × {pair}" if n > 1 else pair for pair, n in counted.items()) or "unknown"


def _best(board: Leaderboard) -> str:
    if not board:
        return "no trial has a score yet"
    best = board[0]
    texts = {name: shortened(str(best.texts.get(name, value)), MAX_TOKEN) for name, value in best.params.items()}
    with_params = ", ".join(f"{name}={text}" for name, text in texts.items())
    error = "" if math.isnan(best.standard_error) else f" ± {best.standard_error:.4f} (standard error)"
    return f"{board.metric} {best.score:.4f}{error} in trial {best.trial_number} with {with_params}"


def _corrected(score: float) -> str:
    return "" if math.isnan(score) else f"{score:.4f}, without what the best of many is expected to owe to luck"


def _facts(facts: Mapping[str, str]) -> str:
    """Return one fact a line, those that are nothing left out."""
    width = max(map(len, facts))
    lines = [
        f"{name if first else '':<{width}}  {line}"
        for name, text in facts.items()
        for first, line in zip([True] + [False] * text.count("\n"), text.splitlines(), strict=False)
    ]
    return "\n".join(lines)


def _top(args: Namespace) -> Answer:
    store = _opened(args)
    with in_plain_words(storage_of(args)):
        board = leaderboard_of(store)
        board = (board.pareto_front() if args.front else board)(args.n, by=args.by)
    return Answer(repr(board), [_leader(leader) for leader in board])


def _leader(leader: Leader) -> dict[str, Any]:
    return {name: value for name, value in vars(leader).items() if name != "texts"}


def _compare(args: Namespace) -> Answer:
    found = studies.compare(*args.names, storage=storage_of(args), metric=args.metric)
    return Answer(repr(found), asdict(found))


# --- changing ---------------------------------------------------------------------------------------------------------


def _rename(args: Namespace) -> Answer:
    studies.rename_study(args.name, args.new, storage_of(args), new_storage=args.new_storage, force=args.force)
    return Answer(f"{args.name!r} is now {args.new!r}", {"study": args.new})


def _copy(args: Namespace) -> Answer:
    studies.copy_study(args.name, args.new, storage_of(args), new_storage=args.new_storage)
    return Answer(f"{args.new!r} is a copy of {args.name!r}", {"study": args.new})


def _delete(args: Namespace) -> Answer:
    storage = storage_of(args)
    if not args.yes and not _is_sure(args):
        return Answer("", {"deleted": None}, 1, f"{args.name!r} was not deleted.")
    studies.delete_study(args.name, storage, force=args.force)
    return Answer(f"{args.name!r} is deleted", {"deleted": args.name})


def _is_sure(args: Namespace) -> bool:
    """Ask on the terminal.

    Raises
    ------
    UsageError
        If there is none.
    """
    if not sys.stdin.isatty():
        raise UsageError(f"{args.name!r} would be deleted for good, and there is no terminal to ask on: give --yes.")
    storage = storage_of(args)
    with in_plain_words(storage):
        n_trials = len(studies.load_study(args.name, storage).get_trials(deepcopy=False))
    print(f"Delete {args.name!r} with its {n_trials} trials for good? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _export(args: Namespace) -> Answer:
    studies.export_study(args.name, args.path, storage_of(args))
    return Answer(f"{args.name!r} is in {args.path}", {"study": args.name, "path": args.path})


def _report(args: Namespace) -> Answer:
    path = report(args.name, args.path, storage=storage_of(args))
    return Answer(f"the report of {args.name!r} is in {path}", {"study": args.name, "path": str(path)})


def _import(args: Namespace) -> Answer:
    name = studies.import_study(args.path, storage_of(args), study_name=args.name)
    return Answer(f"{args.path} is now the study {name!r}", {"study": name})


# --- mending ----------------------------------------------------------------------------------------------------------


def _salvage(args: Namespace) -> Answer:
    saved = studies.salvage(args.path, args.new)
    text = f"{saved.lines} lines of {args.path} are in {args.new}"
    if saved.damaged:
        text += f"\ndamaged: {', '.join(f'line {number}' for number in saved.damaged)}"
    if saved.trials_lost:
        text += f"\ntrials of which nothing else is known: {saved.trials_lost}"
    return Answer(text, asdict(saved))


def _upgrade(args: Namespace) -> Answer:
    storage = storage_of(args)
    studies.upgrade(storage)
    return Answer(f"{mask(storage)} is up to date", {"upgraded": mask(storage)})


def _serve(args: Namespace) -> Answer:
    storage = storage_of(args)
    require_grpc()
    told = printable(f"Serving {mask(storage)} at grpc://{in_a_url(args.host)}:{args.port}; Ctrl-C ends it.")
    print(told, file=sys.stderr, flush=True)
    studies.serve(storage, host=args.host, port=args.port, expose=args.expose)
    return Answer("", {"served": mask(storage)})


# --- running ----------------------------------------------------------------------------------------------------------


def _run(args: Namespace) -> Answer:
    outcome = run(args.target, args.workers, storage=args.storage, default_storage=os.environ.get(VARIABLE))
    store = open_store(outcome.plan)
    board = Leaderboard.empty() if store is None else leaderboard_of(store)[:TOP]
    plan, standing = outcome.plan, outcome.standing
    data = {
        "study": plan.study_name,
        "n_trials": standing.done,
        "failed": standing.failed,
        "top": [_leader(leader) for leader in board],
        "errors": [vars(fault) for fault in outcome.faults],
    }
    text = f"{plan.study_name}: {standing.done} trials\n{board!r}"
    return Answer(text, data, outcome.code, *_ending(outcome))


def _ending(outcome: Outcome) -> tuple[str | None, str | None]:
    """Return what went wrong, and what else there is to say, of a run."""
    plan, done = outcome.plan, outcome.standing.done
    again = "run the same again" if plan.named else f"give the search study_name={plan.study_name!r}"
    left = f"{done} finished trials are kept in the study {plan.study_name!r}; {again} to go on."
    if outcome.code > 1:
        return None, f"stopped: {left}"
    if outcome.code and outcome.faults:
        return f"{len(outcome.faults)} of the workers failed. {left}", None
    return (f"the workers ended before the study was finished: {left}" if outcome.code else None), None


COMMANDS: dict[str, Callable[[Namespace], Answer]] = {
    "list": _list,
    "show": _show,
    "top": _top,
    "compare": _compare,
    "rename": _rename,
    "copy": _copy,
    "delete": _delete,
    "export": _export,
    "report": _report,
    "import": _import,
    "salvage": _salvage,
    "upgrade": _upgrade,
    "serve": _serve,
    "run": _run,
}
