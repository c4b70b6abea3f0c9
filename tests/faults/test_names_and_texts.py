"""Names and texts of other people: a name is never a path, and a text never a command, whatever shows it."""

import csv
import html
import html.parser
import io
import re
import sqlite3
import warnings

import numpy as np
import pytest
from estimators import KnownScore
from optuna.distributions import CategoricalDistribution, FloatDistribution
from sklearn.exceptions import FitFailedWarning
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_html_repr

from optuna_search import OptunaSearchCV, studies
from optuna_search.__main__ import main
from optuna_search._tokens import token
from optuna_search.exceptions import InvalidRequestError, OptunaSearchError, StudyMismatchError

X = np.arange(24.0).reshape(12, 2)
Y = np.arange(12) % 2


def search(space, estimator=None, **how):
    return OptunaSearchCV(KnownScore() if estimator is None else estimator, space, **{"cv": 2} | how)


# --- names ------------------------------------------------------------------------------------------------------------

ODD_NAMES = {
    "a path upwards": "../../x",
    "an absolute path": "<folder>/was_here",
    "a path of Windows": "C:\\x\\y",
    "a device of Windows": "CON",
    "a hidden file": ".hidden",
    "a file of the storage": "s.db-wal",
    "300 characters": "n" * 300,
    "as long as it may be": "n" * 512,
    "other scripts": "имя 名前 🎉 مرحبا",
    "a mark that turns the direction": "abc\u202edef\u200f",
    "a combined character": "e\u0301",
    "a blank": " ",
    "blanks around": "  name  ",
    "a line break": "two\nlines",
    "a tab": "a\tb",
    "steers a terminal": "\x1b[31mred\x1b]0;title\x07",
    "quotes": 'it\'s "quoted" `and` so',
    "SQL": "x'; DROP TABLE studies; --",
    "more SQL": '" OR 1=1; DELETE FROM trials; --',
    "a pattern of SQL": "%_%",
    "parameters of SQL": ":name ? $1 %(name)s %s",
    "a pattern of files": "*[a-z]?",
    "braces": "{} {0} {name} {{}}",
    "HTML": "<script>alert(1)</script>",
    "an option": "--help",
    "a variable": "${PATH} $HOME %PATH%",
    "a URL": "sqlite:///x.db",
}
NO_NAMES = {
    "nothing": "",
    "NUL": "a\0b",
    "half a character": "a\ud800",
    "513 characters": "n" * 513,
    "bytes": b"name",
    "a number": 7,
}


@pytest.fixture
def path(request, tmp_path):
    """A file in a folder of its own, alone in a folder."""
    (tmp_path / "in").mkdir()
    return tmp_path / "in" / getattr(request, "param", "s.journal")


def files_beside(path):
    """All files but those of the storage itself."""
    its_own = {path.name, f"{path.name}-wal", f"{path.name}-shm"}
    return {place for place in path.parent.parent.rglob("*") if place.is_file() and place.name not in its_own}


#: What might mean something to a database; journals are tried with all of them, and are quick.
OF_DATABASES = ["as long as it may be", "other scripts", "SQL", "more SQL", "parameters of SQL", "braces"]
CASES = [("s.journal", kind) for kind in ODD_NAMES] + [("s.db", kind) for kind in OF_DATABASES]


@pytest.mark.parametrize(("path", "kind"), CASES, indirect=["path"])
def test_any_text_is_the_name_of_a_study_and_of_no_file(path, kind):
    name = ODD_NAMES[kind].replace("<folder>", str(path.parent))
    search({"x": [1]}, storage=path, study_name="other").fit(X, Y)
    assert search({"x": [1, 2]}, storage=path, study_name=name).fit(X, Y).study_.study_name == name
    assert OptunaSearchCV.from_study(name, path, KnownScore()).n_trials_ == 2
    studies.copy_study(name, "copied", path)
    studies.rename_study("copied", f"{name[:500]} again", path)
    assert [study.name for study in studies.list_studies(path)] == ["other", name, f"{name[:500]} again"]
    studies.delete_study(f"{name[:500]} again", path)
    assert files_beside(path) == set()

    file = path.parent / "out.study"
    studies.export_study(name, file, path)
    assert studies.import_study(file, path.with_name("s2.journal")) == name
    assert files_beside(path) == {file, path.with_name("s2.journal")}
    assert OptunaSearchCV.from_study("other", path, KnownScore()).n_trials_ == 1


@pytest.mark.parametrize("kind", NO_NAMES)
def test_what_is_no_name_is_refused_before_anything_is_made(kind, path):
    name = NO_NAMES[kind]
    with pytest.raises(InvalidRequestError, match="study_name"):
        search({"x": [1]}, storage=path, study_name=name).fit(X, Y)
    with pytest.raises(InvalidRequestError, match="study_name"):
        OptunaSearchCV.from_study(name, path, KnownScore())
    assert list(path.parent.iterdir()) == []


def test_data_stands_in_a_name_as_often_as_it_is_written(path):
    fitted = search({"x": [1]}, storage=path, study_name="{data}{data} {} {Data}").fit(X, Y)
    assert re.fullmatch(r"([0-9a-f]{8})\1 \{\} \{Data\}", fitted.study_.study_name)


def test_a_name_is_no_command_of_a_shell(path, capsys):
    for name in ("--json", "-h", "$(touch x)", "; ls", "../../x"):
        search({"x": [1]}, storage=path, study_name=name).fit(X, Y)
    assert main(["--storage", str(path), "copy", "--", "--json", "-h again"]) == 0
    assert main(["--storage", str(path), "delete", "--yes", "--", "-h again"]) == 0
    assert main(["--storage", str(path), "show", "$(touch x)"]) == 0
    assert main(["--storage", str(path), "export", "; ls", str(path.with_name("out.csv"))]) == 0
    capsys.readouterr()
    assert files_beside(path) == {path.with_name("out.csv")}


def test_no_name_of_anything_is_sql(tmp_path):
    """Names of parameters, metrics and attributes as well as of studies are values, and no words of a statement."""
    path = tmp_path / "s.db"
    evil = "x'); DROP TABLE trials; --"

    def of_function(trial):
        return {"x": trial.suggest_float(evil, 0, 1), "choice": trial.suggest_categorical(f"{evil} too", [evil, '"'])}

    scoring = {evil: lambda estimator, X, y: estimator.score(X, y)}
    how = {"storage": path, "study_name": evil, "scoring": scoring, "refit": evil, "n_trials": 3}
    fitted = search(of_function, **how).fit(X, Y)
    fitted.study_.set_user_attr(evil, evil)
    assert search(of_function, **how | {"n_trials": 5}).fit(X, Y).n_trials_ == 5
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*) FROM trials").fetchone() == (5,)
    db.close()


# --- texts ------------------------------------------------------------------------------------------------------------

#: It steers a terminal, is HTML, and turns the direction of reading.
EVIL = "\x1b[31m\x1b]0;title\x07\x9b2J<script>alert('&')</script>\u202e\r"


class Odd:
    """Says of itself whatever it was given."""

    def __init__(self, says):
        self.says = says

    def __repr__(self):
        return self.says


class Complains(KnownScore):
    """Fails on an odd choice, in its words."""

    def fit(self, X, y=None):
        if isinstance(self.choice, Odd) and "fails" in self.choice.says:
            raise ValueError(f"{self.choice}\nand more {EVIL}")
        return super().fit(X, y)


def scored(estimator, X, y):
    return estimator.score(X, y)


CHOICES = [Odd(f"{EVIL} 1"), Odd(f"{EVIL} fails"), EVIL, f"=cmd|{EVIL}"]
HOW = {"scoring": {EVIL: scored, "two": scored}, "refit": EVIL}


@pytest.fixture(scope="module")
def evil(tmp_path_factory):
    """A storage with a study and a fork of it, in which everything that can have a name has an evil one."""
    path = tmp_path_factory.mktemp("evil") / "s.db"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = search({"choice": CHOICES}, Complains(), storage=path, study_name=EVIL, **HOW).fit(X, Y)
        wider = fitted.fork({"choice": [EVIL, "new", Odd(f"{EVIL} new")]}, study_name=f"wider {EVIL}").fit(X, Y)
    return path, fitted, wider


def shown(evil):
    path, fitted, wider = evil
    compared = studies.compare(EVIL, f"wider {EVIL}", storage=path, metric="two")
    return [
        fitted.top_n_,
        fitted.top_n_(1, by="two"),
        wider.top_n_,
        wider.fork_report_,
        compared,
        studies.list_studies(path),
    ]


def assert_harmless(text):
    """Assert that no character of a text steers a terminal or turns the direction of reading."""
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text), repr(text)


def test_no_table_steers_a_terminal(evil):
    for one in shown(evil):
        assert_harmless(repr(one))
        assert_harmless(str(one))


class Tags(html.parser.HTMLParser):
    """The tags and the texts of HTML."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.texts = set(), []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        assert not attrs

    def handle_data(self, data):
        self.texts.append(data)


def test_no_text_is_a_tag_in_a_table(evil):
    for one in shown(evil):
        found = Tags(one._repr_html_())
        assert found.tags <= {"table", "thead", "tbody", "tr", "th", "td", "p", "caption"}, found.tags
        assert any("<script>alert('&')</script>" in text for text in found.texts)
        assert_harmless(one._repr_html_())


def test_no_text_is_a_tag_in_the_diagram_of_an_estimator(evil):
    _, fitted, wider = evil
    for one in (fitted, wider, make_pipeline(fitted)):
        assert "<script>alert(" not in estimator_html_repr(one)


@pytest.mark.parametrize("command", ["list", "show", "top", "compare", "list --json", "show --json", "top --json"])
def test_no_command_steers_a_terminal(command, evil, capsys):
    path, *_ = evil
    word, *option = command.split()
    names = {"list": [], "compare": [EVIL, f"wider {EVIL}", "--metric", "two"]}.get(word, [EVIL])
    assert main(["--storage", str(path), word, *option, *names]) == 0
    out, err = capsys.readouterr()
    assert "script" in out
    assert_harmless(out + err)


MISTAKES = {
    "show": [f"no {EVIL}"],
    "copy": [EVIL, f"wider {EVIL}"],
    "top": [EVIL, "--by", f"no {EVIL}"],
    "import": [f"{EVIL}.study"],
}


@pytest.mark.parametrize("command", MISTAKES)
def test_no_error_of_a_command_steers_a_terminal(command, evil, capsys):
    path, *_ = evil
    for option in ([], ["--json"]):
        assert main(["--storage", str(path), *option, command, *MISTAKES[command]]) == 1
        out, err = capsys.readouterr()
        assert out == "" and "script" in err
        assert_harmless(err)


@pytest.mark.parametrize("verbose", [1, 2])
@pytest.mark.filterwarnings("ignore:One or more of the test scores are non-finite:UserWarning")
def test_no_line_of_a_search_steers_a_terminal(verbose, evil, capfd):
    with pytest.warns(FitFailedWarning) as said:
        search({"choice": CHOICES}, Complains(), verbose=verbose, **HOW).fit(X, Y)
    out, err = capfd.readouterr()
    assert out == ""
    assert_harmless(err.replace("\r", "\n") if verbose == 1 else err)  # a bar goes back to the beginning of its line
    assert err.count("\n") >= 4 or verbose == 1
    told = next(str(one.message) for one in said if one.category is FitFailedWarning)
    assert "and more ?[31m" in told
    assert_harmless(told)


def test_no_error_that_quotes_a_name_steers_a_terminal(evil):
    path, fitted, _ = evil
    evil_space = {EVIL: [1]}
    for act in (
        lambda: OptunaSearchCV.from_study(f"no {EVIL}", path, Complains()),
        lambda: OptunaSearchCV.from_study(EVIL, path, Complains(), refit=f"no {EVIL}"),
        lambda: search({"choice": CHOICES}, Complains(), storage=path, study_name=EVIL).fit(X, Y),
        lambda: search(evil_space, Complains(), storage=path, study_name=EVIL, **HOW).fit(X, Y),
        lambda: search(
            {"choice": CHOICES}, Complains(), storage=path, study_name=EVIL, fork_of=f"no {EVIL}", **HOW
        ).fit(X, Y),
        lambda: fitted.fork(evil_space, study_name="new").fit(X, Y),
        lambda: fitted.fork({"choice": ["a"]}, **{EVIL: 1}),
        lambda: fitted.top_n_(by=f"no {EVIL}"),
        lambda: search({"x": [1]}, sampler=EVIL).fit(X, Y),
        lambda: search({"x": FloatDistribution(0, 1)}, initial_params=[{"x": EVIL, EVIL: 1}]).fit(X, Y),
        lambda: search({"x": [1]}, storage=path.parent / EVIL / "s.db").fit(X, Y),
        lambda: studies.compare(EVIL, f"wider {EVIL}", storage=path, metric=f"no {EVIL}"),
        lambda: studies.export_study(EVIL, path.parent / f"{EVIL}.csv" / "x.csv", path),
        lambda: studies.import_study(path, path.with_name("x.db")),
    ):
        with pytest.raises(OptunaSearchError) as raised:
            act()
        assert_harmless(str(raised.value))


def test_no_difference_of_a_study_steers_a_terminal(evil):
    path, *_ = evil
    with pytest.raises(StudyMismatchError) as raised:
        search({"choice": [1]}, Complains(), storage=path, study_name=EVIL, scoring=None).fit(X, Y)
    assert any("?[31m" in line for line in raised.value.differences)
    assert_harmless("".join(raised.value.differences))


# --- spreadsheets -----------------------------------------------------------------------------------------------------

FORMULAS = [
    "=1+1",
    "+1+1",
    "-1+1",
    "@SUM(1)",
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    " =1+1",
    "\u00a0=1+1",
    '=HYPERLINK("http://x","y")',
    "=cmd|' /C calc'!A0",
    "\uff1d1+1",
    "\uff20SUM(1)",
]


@pytest.mark.parametrize("formula", FORMULAS, ids=ascii)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.FitFailedWarning")
@pytest.mark.filterwarnings("ignore:One or more of the test scores are non-finite:UserWarning")
def test_no_cell_of_a_csv_file_is_a_formula(formula, tmp_path):
    path = tmp_path / "s.journal"
    space = {"choice": [Odd(formula), Odd(f"{formula} fails"), formula], "x": [-1.5, -2]}
    fitted = search(space, Complains(), storage=path, study_name=formula).fit(X, Y)
    foreign = fitted.study_.ask({formula: CategoricalDistribution([formula])})
    foreign.set_user_attr("failure", formula)
    studies.export_study(formula, tmp_path / "s.csv", path)
    text = (tmp_path / "s.csv").read_bytes().decode()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    stripped = formula.strip()  # as the token of an object has it
    assert {row["param_choice"] for row in rows[:6]} == {
        f"'{stripped}",
        f"'{stripped} fails",
        token(formula).text,
    }
    assert {row["param_x"] for row in rows[:6]} == {"-1.5", "-2"}, "a number stays one"
    assert rows[6]["failure"] == f"'{formula}"
    for cell in (cell for row in rows for cell in (*row, *row.values())):
        is_number = re.fullmatch(r"-?\d[\d.e+-]*", cell)
        assert is_number or cell.lstrip()[:1] not in set("=+-@\uff1d\uff0b\uff0d\uff20"), cell
