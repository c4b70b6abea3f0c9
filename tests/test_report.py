"""A report is one page that tells what the records tell, loads nothing, and runs nothing but itself."""

import base64
import hashlib
import json
import re
import shutil
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from estimators import FailsOn, KnownScore, high, low
from handmade import folds, large, measured, study, trial
from optuna.storages import InMemoryStorage
from sklearn.ensemble import RandomForestClassifier
from test_figures import EVIL, of_failures, space
from test_several_goals import search as search_by_goals
from test_storage import search

from optuna_search import _report, figures, report, studies
from optuna_search.__main__ import main
from optuna_search._facts import facts_of
from optuna_search._given import store_given
from optuna_search._leaderboard import Leaderboard
from optuna_search._page import in_a_script
from optuna_search._record import FORK, Failure, Fold, Record
from optuna_search._summary import described, duration, in_numbers, space_table
from optuna_search.exceptions import InvalidRequestError, NoResultError, StorageError

X = np.arange(24.0).reshape(12, 2)
Y = np.arange(12) % 2
GOLDEN = Path(__file__).parent / "golden"


class Deep(KnownScore):
    """It has a parameter with a name as in a pipeline."""

    def set_params(self, of_a__deep__pipeline=None, **params):
        """Take the others."""
        return super().set_params(**params)


class Page(HTMLParser):
    """A page as a browser reads it: its elements, its texts, its scripts."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts, self.scripts, self.open = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "br", "wbr", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag  # what is opened is closed, in order

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        elif self.open and self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self):
        """What a reader sees."""
        return " ".join(" ".join(self.texts).split())

    @property
    def headings(self):
        """The sections."""
        return [attrs["aria-labelledby"] for tag, attrs in self.elements if tag == "section"]

    @property
    def figures(self):
        """The figures, as plotly is given them."""
        return json.loads(self.scripts[0])

    def figure(self, heading):
        """The first figure of a section."""
        return self.figures[f"figure-{self.headings.index(heading)}-0"]


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """Write a report, and open it."""
    folder = tmp_path_factory.mktemp("reports")

    def write_and_open(given, **how):
        path = folder / "report.html"
        assert report(given, path, **how) == path
        assert [file.name for file in folder.iterdir()] == ["report.html"]
        return Page(path.read_text(encoding="utf-8"))

    return write_and_open


@pytest.fixture(scope="module")
def fitted():
    """A conditional search with pruning, by two metrics."""
    return search(space, n_trials=30, pruner="median", cv=3, sampler="random", study_name="the study",
                  storage=InMemoryStorage()).fit(X, Y)  # fmt: skip


@pytest.fixture(scope="module")
def page(opened, fitted):
    return opened(fitted)


# --- what it tells ----------------------------------------------------------------------------------------------------


class TestWhatItTells:
    def test_it_has_its_sections(self, page):
        assert page.headings == [
            "what-was-searched", "leaderboard", "history", "importances", "slices", "parallel-coordinates",
            "how-far-trials-came", "timeline",
        ]  # fmt: skip

    def test_it_says_what_was_searched(self, page, fitted):
        best = fitted.cv_results_["mean_test_score"][fitted.best_index_]
        assert f"best score, in trial {fitted.best_index_} {best:.4g} ± " in page.text
        assert "Estimator KnownScore() X 12 × 2, float64 y 12, int64" in page.text
        assert "Folds 3: 3 with 8 to train on and 4 to test on" in page.text
        assert "Space the function space Scoring the estimator's own score" in page.text
        assert "Sampler random Pruner median Budget n_trials=30" in page.text
        n_complete = int(np.sum(fitted.cv_results_["trial_state"] == "COMPLETE"))
        assert f"Trials {n_complete} complete, {30 - n_complete} pruned" in page.text

    def test_a_study_by_its_name_tells_the_same_but_how_it_was_drawn(self, opened, fitted, page):
        named = opened("the study", storage=fitted.storage)
        assert "Sampler" not in named.text
        assert named.figures == page.figures

    def test_the_numbers_are_those_of_the_records(self, fitted):
        facts = facts_of(store_given(fitted, None))
        told = in_numbers(facts, fitted.top_n_)
        results = fitted.cv_results_
        n_fits = int(np.sum(~np.isnan([results[f"split{k}_test_score"] for k in range(3)])))
        assert (told["trials"], told["fits of a fold"]) == ("30", f"{n_fits:,}")
        trials = fitted.study_.get_trials(deepcopy=False)
        span = max(t.datetime_complete for t in trials) - min(t.datetime_start for t in trials)
        assert told["from first to last"] == duration(span.total_seconds())

    def test_what_was_measured_elsewhere_is_in_none_of_the_numbers(self):
        carried = {"optuna_search:origin": {"study": "a", "id": "b", "trial": 0}}
        trials = [trial(i, {"x": i}, Record({"x": i}, folds(1.0, 2.0, 3.0)), [2.0], attrs=carried if i < 2 else {})
                  for i in range(4)]  # fmt: skip
        told = in_numbers(facts_of(store_given(study(trials), None)), Leaderboard.empty())
        assert (told["trials"], told["fits of a fold"], told["from first to last"]) == ("2", "6", "2 s")
        assert told["spent on fits and scores"] == "6.7 s"  # twice 0.1 + 1.1 + 2.1, and three times 0.01

    def test_the_leaderboard_is_that_of_the_search(self, page, fitted):
        board = fitted.top_n_
        for leader in (board[0], board[min(19, len(board) - 1)]):
            assert f"{leader.rank} {leader.trial_number} {leader.score:.4f}" in page.text

    def test_figures_are_those_that_can_be_had_alone(self, page, fitted):
        alone = json.loads(in_a_script({"one": figures.history(fitted)}))["one"]
        assert page.figure("history") == alone
        assert "title" not in alone["layout"] and "template" not in alone["layout"]
        y = next(t for t in alone["data"] if t["name"] == "complete")["y"]
        means = fitted.cv_results_["mean_test_score"]
        pairs = [
            (a, b) for a, b in zip(y, means[~np.isnan(means)], strict=True) if b > alone["layout"]["yaxis"]["range"][0]
        ]
        assert len(pairs) > 5 and [a for a, _ in pairs] == pytest.approx([b for _, b in pairs], rel=1e-5)

    def test_a_space_of_dicts_is_told_with_what_was_tried(self):
        dicts = [{"x": [1.0, 2.0], "choice": ["a"]}, {"x": [4.0], "choice": ["b"], "peak": [9.0, 10.0]}]
        facts = facts_of(store_given(search(dicts, n_trials=None, sampler=None).fit(X, Y), None))
        header, rows = space_table(facts)
        assert header == ["parameter", "searched", "tried", "in trials"]
        assert rows == [
            ["choice", "one of [a]; or one of [b]", "a, b", "4"],
            ["x", "one of [1.0, 2.0]; or one of [4.0]", "1 to 4", "4"],
            ["peak", "one of [9.0, 10.0]", "9 to 10", "2"],
        ]

    def test_a_metric_that_is_called_like_its_scorer_is_told_once(self, opened, tmp_path, capsys):
        path = tmp_path / "s.db"
        fitted = search({"x": [1.0, 2.0]}, scoring={"f1": "f1", "mine": "accuracy"}, refit="f1", n_trials=None,
                        sampler=None, storage=path, study_name="s").fit(X, Y)  # fmt: skip
        assert "Scoring f1, mine: accuracy Pursued" in opened(fitted).text
        assert main(["show", "s", "--storage", str(path)]) == 0
        assert re.search(r"^scoring +f1, mine accuracy$", capsys.readouterr().out, re.MULTILINE)
        assert fitted.fork({}).fit(X, Y).fork_report_.carried  # it is measured on the same

    def test_rows_of_candidates_are_one_line(self, opened):
        forests = [RandomForestClassifier(n_estimators=10, random_state=0, max_features="log2"), None]
        page = opened(
            search({"choice": forests, "of_a__deep__pipeline": [1, 2]}, Deep(), n_trials=None, sampler=None).fit(X, Y)
        )
        tables = [attrs["class"] for _, attrs in page.elements if attrs.get("aria-label") == "Table"]
        assert tables == ["wide", "wide", "wide lines"]
        whole = "RandomForestClassifier(max_features='log2', n_estimators=10, random_state=0)"
        assert whole in page.text and {"title": whole} in [attrs for tag, attrs in page.elements if tag == "td"]
        assert [tag for tag, _ in page.elements].count("wbr") == 2
        assert "of_a__" in page.texts and "of_a__deep__pipeline" in page.texts

    def test_what_the_best_owes_to_luck_is_told(self, opened, fitted, page):
        corrected = f"{fitted.best_score_corrected_:.4g}"
        assert f"best score, corrected for the choice {corrected} trials" in page.text
        assert "The best of many owes something to luck; corrected for the choice, its score is without" in page.text
        named = opened("the study", storage=fitted.storage)
        assert f"best score, corrected for the choice {corrected} trials" in named.text
        assert "± is one standard error of the mean over folds." in page.text

    def test_of_several_goals_that_which_the_leaderboard_is_sorted_by_is_corrected(self, opened):
        how = {"objectives": ["fit_time", "high"], "scoring": {"low": low, "high": high}, "refit": "high", "cv": 3}
        fitted = search({"x": [1.0, 2.0, 4.0]}, n_trials=None, sampler=None, **how).fit(X, Y)
        text = opened(fitted).text
        assert f"best high, corrected for the choice {fitted.best_score_corrected_:.4g} " in text
        assert text.count("corrected for the choice") == 2  # a number, and what it means
        assert "Times are in seconds." in text and "trial fit_time, seconds high x" in text

    def test_one_fold_has_no_marks(self, opened):
        made = study([trial(i, {"x": i}, Record({"x": i}, folds(float(i))), [float(i)]) for i in range(3)], n_folds=1)
        text = opened(made).text
        assert "corrected" not in text and "±" not in text.partition("What was searched")[0]

    def test_three_goals_have_a_figure_of_every_two(self, opened):
        how = {"objectives": ["one", "other", "fit_time"], "n_trials": 15}
        fitted = search_by_goals(**how).fit(X, Y)
        page = opened(fitted)
        place = page.headings.index("pareto-front")
        drawn = [page.figures[f"figure-{place}-{i}"] for i in range(3)]
        titles = [
            tuple(one["layout"][axis]["title"]["text"].split()[0] for axis in ("xaxis", "yaxis")) for one in drawn
        ]
        assert titles == [("one", "other"), ("one", "fit_time,"), ("other", "fit_time,")]
        n_best = len(fitted.study_.best_trials)
        assert {len(t["x"]) for one in drawn for t in one["data"] if t["name"] == "Pareto front"} == {n_best}
        assert "no other one is better than by one goal and as good as by all others" in page.text

    def test_several_goals_have_a_front(self, opened):
        fitted = search_by_goals(n_trials=25, study_name="goals", storage=InMemoryStorage()).fit(X, Y)
        page = opened(fitted)
        front = page.figure("pareto-front")
        assert len(front["data"][-1]["x"]) == len(fitted.study_.best_trials)
        assert "Pursued one (more is better), other (more is better)" in page.text
        assert [t["name"] for t in page.figure("importances")["data"]] == ["one", "other"]

    def test_a_fork_says_whence_it_came(self, opened, fitted):
        parent = search({"x": [1.0, 2.0, 5.0]}, n_trials=None, sampler=None, study_name="parent",
                        storage=InMemoryStorage()).fit(X, Y)  # fmt: skip
        page = opened(parent.fork({"x": [1.0, 2.0, 6.0]}, study_name="child").fit(X, Y))
        assert "Forked from parent, with 2 of its trials" in page.text
        assert "parent #0" in page.text

    @of_failures
    def test_failures_are_counted(self, opened):
        fitted = search({"x": [1.0, 2.0, 3.0, 4.0, 5.0]}, FailsOn(bad=(1.0, 4.0)), n_trials=None, sampler=None).fit(
            X, Y
        )
        page = opened(fitted)
        assert "3 complete, 2 failed" in page.text
        assert "1 ValueError: x=1.0 is bad in fit 1 ValueError: x=4.0 is bad in fit" in page.text

    def test_scores_that_are_not_there_are_nothing_to_warn_of(self, opened):
        part = (*folds(1.0, 2.0), Fold({}, {}, 1.0, 0.0, Failure("ValueError", "no", "Traceback")))
        records = [(Record({"x": 0}, part), None), (Record({"x": 1}, folds(*[-np.inf] * 3)), [-np.inf])]
        records += [(Record({"x": i}, folds(*[float(i)] * 3)), [float(i)]) for i in range(2, 7)]
        made = study([trial(i, record.params, record, values) for i, (record, values) in enumerate(records)])
        page = opened(made)
        assert "6 complete, 1 failed" in page.text and "-inf" in page.text

    def test_without_parameters_there_is_nothing_of_them(self, opened):
        page = opened(search({}, n_trials=None, sampler=None).fit(X, Y))
        assert page.headings == ["what-was-searched", "leaderboard", "history", "timeline"]

    def test_a_study_that_only_carries_has_no_timeline(self, opened):
        carried = [trial(i, {"x": i}, Record({"x": i}, folds(1.0, 2.0, float(i))), [1 + i / 3],
                         attrs={"optuna_search:origin": {"study": "a", "id": "b", "trial": i}})
                   for i in range(5)]  # fmt: skip
        made = study(carried)
        made.set_user_attr(FORK, {"study": "a"})
        page = opened(made)
        assert "timeline" not in page.headings and "Forked from a, with 5 of its trials" in page.text

    def test_columns_of_a_table_are_counted_by_their_types(self):
        frame = {"shape": [9, 3], "columns": {"a": "int64 0", "b": "int64 1", "c": "str 2"}}
        groups = {"groups": {"shape": [9], "dtype": "int64"}}
        made = measured([({"x": 1}, 1.0)], X=frame, metadata=groups, y="None")
        told = described(facts_of(store_given(made, None)))
        assert told["X"] == "9 × 3, 2 int64, 1 str" and told["also groups"] == "9, int64" and told["y"] == ""

    @pytest.mark.parametrize(
        "study_file", ["schema-1.db", "schema-1.journal", "schema-2.db", "schema-2.journal", "schema-3.journal"]
    )
    def test_studies_of_older_versions_have_reports(self, opened, study_file, tmp_path):
        place = shutil.copy(GOLDEN / study_file, tmp_path / study_file)
        name = studies.list_studies(place)[0].name
        assert "history" in opened(name, storage=place).headings


# --- one page that needs nothing else ---------------------------------------------------------------------------------


class TestOnePage:
    def test_it_loads_nothing(self, page):
        for tag, attrs in page.elements:
            assert tag not in ("link", "img", "iframe", "object", "embed", "base", "form")
            for name, value in attrs.items():
                assert name != "src" and not name.startswith("on")
                if name == "href":
                    assert value.startswith("#") and value[1:] in page.headings

    def test_it_has_plotly_once_and_runs_only_that_and_its_own(self, page):
        data, plotly_js, glue = page.scripts
        assert "plotly.js v" in plotly_js[:200] and "plotly.js v" not in data + glue
        kinds = [attrs for tag, attrs in page.elements if tag == "script"]
        assert kinds == [{"type": "application/json", "id": "figures"}, {}, {}]
        (policy,) = (a["content"] for tag, a in page.elements if tag == "meta" and "http-equiv" in a)
        allowed = re.search(r"script-src ([^;]*)", policy)[1].split()
        hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in (plotly_js, glue)]
        assert allowed == [f"'sha256-{one}'" for one in hashes]
        assert policy.startswith("default-src 'none';")

    def test_every_plot_has_its_figure_and_every_section_its_heading(self, page):
        ids = [attrs["id"] for tag, attrs in page.elements if tag == "div" and attrs.get("class") == "plot"]
        assert sorted(ids) == sorted(page.figures)
        assert [attrs["id"] for tag, attrs in page.elements if tag == "h2"] == page.headings
        assert [tag for tag, _ in page.elements].count("h1") == 1
        assert dict(page.elements)["html"] == {"lang": "en"}

    def test_its_json_is_strict(self, page):
        json.loads(page.scripts[0], parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))

    def test_hostile_names_stay_texts(self, opened):
        evil = f"</script></title><script>alert(1)</script>{EVIL}"

        def evil_space(trial):
            trial.suggest_categorical(f"{evil} kind", [evil, "</table>", f"{evil}2"])
            return {"x": trial.suggest_float(f"{evil} x", 0, 6)}

        def harmless_space(trial):
            long = "harmless" * 40
            trial.suggest_categorical(f"{long} kind", [long, "b", f"{long}2"])
            return {"x": trial.suggest_float(f"{long} x", 0, 6)}

        page = opened(search(evil_space, n_trials=12, study_name=evil, storage=InMemoryStorage()).fit(X, Y))
        harmless = opened(search(harmless_space, n_trials=12).fit(X, Y))

        def kinds(one):
            return {(tag, *sorted(attrs)) for tag, attrs in one.elements}

        assert kinds(page) == kinds(harmless)
        assert len(page.scripts) == 3 and "<" not in page.scripts[0]
        shown = evil.replace("\x1b", "?").replace("hunter2", "***")
        assert shown in "".join(page.texts) and "\x1b" not in "".join(page.texts)

    def test_hostile_records_stay_texts(self, opened):
        broken = Failure("ValueError", EVIL, EVIL)
        trials = [
            trial(i, {EVIL: "a"}, Record({EVIL: EVIL}, folds(1.0, 2.0, 3.0)), [2.0], attrs={"failure": EVIL})
            for i in range(3)
        ]
        failed = Record({EVIL: EVIL}, (Fold({}, {}, 1.0, 0.0, broken),) * 3)
        trials.append(trial(3, {EVIL: "another"}, failed, None, attrs={"failure": EVIL}))
        made = study(trials, name=EVIL, space={EVIL: EVIL}, X={EVIL: EVIL, "shape": EVIL, "columns": EVIL},
                     metadata={EVIL: EVIL}, estimator={"class": EVIL, EVIL: EVIL}, y=EVIL)  # fmt: skip
        page = opened(made)
        assert not {"img", "a"} & {
            tag for tag, attrs in page.elements if attrs.get("href", "#")[0] != "#" or tag == "img"
        }
        assert "hunter2" not in "".join([*page.texts, page.scripts[0]])

    def test_no_password_of_a_url_is_in_it(self, tmp_path):
        url = "postgresql://me:hunter2@host/db"
        fixed, chosen = (KnownScore(choice=url), {"x": [1.0, 2.0]}), (KnownScore(), {"choice": [url, "b"]})
        for estimator, searched in (fixed, chosen):
            fitted = search(searched, estimator, n_trials=None, sampler=None).fit(X, Y)
            written = report(fitted, tmp_path / "s.html").read_text(encoding="utf-8")
            assert "postgresql://me:" in written and "hunter2" not in written


# --- large studies ----------------------------------------------------------------------------------------------------


class TestLarge:
    def test_two_thousand_trials_fit_on_a_page(self, tmp_path):
        made = large(2000)
        began = time.process_time()
        path = report(made, tmp_path / "large.html")
        assert time.process_time() - began < 30  # a few seconds where nothing else is done
        page = Page(path.read_text(encoding="utf-8"))
        assert len(page.scripts[0]) < 4_000_000
        assert "The 9 most important of 12 parameters" in page.text and "The first 20 of 1,3" in page.text
        n_rows = [tag for tag, _ in page.elements].count("tr")
        assert n_rows < 70
        history = page.figure("history")["data"]
        shown = {t["name"]: len(t["x"]) for t in history}
        facts = facts_of(store_given(made, None))
        assert shown["complete"] == facts.counts["COMPLETE"] and shown["pruned"] == facts.counts["PRUNED"]
        assert all(len(t["x"]) <= 1000 for t in page.figure("slices")["data"])


# --- what cannot be done ----------------------------------------------------------------------------------------------


class TestRefused:
    @pytest.fixture
    def made(self):
        return measured([({"x": i}, i) for i in range(5)])

    @pytest.mark.parametrize(
        ("path", "complaint"),
        [(7, r"^path=7 must be a path\.$"), (b"x.html", r"^path=b'x.html' must be a path\.$"),
         ("searches.db", r"^path='searches.db' must end in \.html\.$"), ("a\0.html", r"must end in \.html"),
         ("report", r"^path='report' must end in \.html\.$")],
    )  # fmt: skip
    def test_other_paths(self, made, path, complaint):
        with pytest.raises(InvalidRequestError, match=complaint):
            report(made, path)

    def test_a_place_that_cannot_be_written_before_any_work(self, made, tmp_path, monkeypatch):
        monkeypatch.setattr(_report, "facts_of", lambda _: pytest.fail("it began to work"))
        with pytest.raises(StorageError, match=r"nowhere/x\.html cannot be written: there is no folder .*nowhere\.$"):
            report(made, tmp_path / "nowhere" / "x.html")
        (tmp_path / "folder.html").mkdir()
        with pytest.raises(StorageError, match=r"folder\.html cannot be written: it is a folder\.$"):
            report(made, tmp_path / "folder.html")

        def no_room(self, *_, **__):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "touch", no_room)
        with pytest.raises(StorageError, match=r"x\.html cannot be written: Permission denied\.$"):
            report(made, tmp_path / "x.html")
        assert [file.name for file in tmp_path.iterdir()] == ["folder.html"]

    def test_a_study_without_a_score_leaves_the_older_report(self, tmp_path):
        path = tmp_path / "x.html"
        path.write_text("older")
        with pytest.raises(NoResultError, match=r"^study_name='made' has nothing to show: no trial"):
            report(study([]), path)
        assert path.read_text() == "older" and [file.name for file in tmp_path.iterdir()] == ["x.html"]

    def test_an_older_report_is_replaced(self, made, tmp_path):
        path = tmp_path / "x.html"
        path.write_text("older")
        report(made, str(path))
        assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")

    def test_without_plotly_it_says_what_to_install(self, made, tmp_path, monkeypatch):
        for module in [name for name in sys.modules if name.partition(".")[0] == "plotly"]:
            monkeypatch.delitem(sys.modules, module)
        monkeypatch.setitem(sys.modules, "plotly", None)
        with pytest.raises(ImportError, match=r"^Figures need plotly, .*: pip install 'optuna-search\[plots\]'\.$"):
            report(made, tmp_path / "x.html")
        assert not list(tmp_path.iterdir())

    def test_half_a_character_in_a_name_is_written_as_one_can(self, tmp_path):
        made = measured([({"x": i, "kind": "\udc80"}, i) for i in range(5)])
        assert json.loads(Page(report(made, tmp_path / "x.html").read_text(encoding="utf-8")).scripts[0])
