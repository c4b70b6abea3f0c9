"""A password in a storage's URL is seen by the server and by nobody else: no text, no file, no error, no log."""

import copy
import io
import json
import logging
import pickle
import pprint
import re
import socket
import time
import traceback
import warnings
import zipfile
from types import SimpleNamespace

import cloudpickle
import joblib
import numpy as np
import optuna
import pytest
import sklearn
import sqlalchemy
from estimators import KnownScore
from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalRedisBackend
from sklearn.base import clone
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_html_repr
from test_storage import search

from optuna_search import OptunaSearchCV, studies
from optuna_search.__main__ import main
from optuna_search._trouble import persistently
from optuna_search.exceptions import InvalidRequestError, OptunaSearchError, StorageError

X = np.arange(24.0).reshape(12, 2)
Y = np.arange(12) % 2
GRID = {"x": [1, 2]}

#: The two halves of every password here; neither may ever be seen.
HALVES = ("zq7kk", "xv9jj")
#: What may stand between them. SQLAlchemy takes a URL apart at the first @, so all but that one work unquoted.
BETWEEN = [
    "",
    ":",
    "/",
    "?",
    "#",
    " ",
    "&",
    "=",
    ";",
    "$",
    "'",
    '"',
    "\\",
    "%2F",
    "%40",
    "é",
    "//",
    "?password=",
    "%",
    "{",
    "}",
]


def url_with(between, port=1):
    """A URL with a password written out, of a server that is not there."""
    return f"postgresql+psycopg://me:{HALVES[0]}{between}{HALVES[1]}@127.0.0.1:{port}/db"


def in_query(name):
    return f"postgresql+psycopg://127.0.0.1:1/db?user=me&{name}={HALVES[0]}{HALVES[1]}&connect_timeout=1"


URLS = {f"password with {between!r}": url_with(between) for between in BETWEEN}
URLS |= {
    "password in braces": f"postgresql+psycopg://me:{{{HALVES[0]}}}{{{HALVES[1]}}}@127.0.0.1:1/db",
    "no user": f"postgresql+psycopg://:{HALVES[0]}{HALVES[1]}@127.0.0.1:1/db",
    "in the query": in_query("password"),
    "in the query, for a key": in_query("sslpassword"),
    "in the query, in capitals": in_query("PASSWORD"),
    "a dot in the scheme": f"mysql+mysql.connector://me:{HALVES[0]}{HALVES[1]}@127.0.0.1:1/db",
}
#: URLs in which a person made a mistake.
BROKEN = {
    "an unquoted @": f"postgresql+psycopg://me:{HALVES[0]}@{HALVES[1]}@127.0.0.1:1/db",
    "no number for a port": f"postgresql+psycopg://me:{HALVES[0]}{HALVES[1]}@127.0.0.1:port/db",
    "an unknown kind of database": f"nosuch://me:{HALVES[0]}{HALVES[1]}@127.0.0.1/db",
    "an unknown driver": f"postgresql+nosuch://me:{HALVES[0]}{HALVES[1]}@127.0.0.1/db",
    "an old name of PostgreSQL": f"postgres://me:{HALVES[0]}{HALVES[1]}@127.0.0.1:1/db",
    "a blank in front": f" postgresql+psycopg://me:{HALVES[0]}{HALVES[1]}@127.0.0.1:1/db",
    "a name that cannot be": f"postgresql+psycopg://me:{HALVES[0]}{HALVES[1]}@no such host/db",
    "an option that nobody knows": f"postgresql+psycopg://me:{HALVES[0]}{HALVES[1]}@127.0.0.1:1/db?nosuch=1",
}


def assert_silent(*texts, secrets=HALVES):
    """Assert that none of the texts, or bytes, has any part of a password in it."""
    for text in texts:
        for secret in secrets:
            if isinstance(text, bytes):
                assert secret.encode() not in text
            else:
                assert secret not in text, re.sub(re.escape(secret), ">>>HERE<<<", text)


def texts_of(model):
    """Everything in which a person may see an estimator."""
    with sklearn.config_context(print_changed_only=False):
        yield from (repr(model), str(model))
    params = model.get_params(deep=True)
    yield from (repr(model), str(model), f"{model}", f"{model!r}")
    yield from (estimator_html_repr(model), model._repr_html_())
    yield from (str(params), pprint.pformat(params), repr(vars(model)), str(vars(model)), pprint.pformat(vars(model)))
    shallow = model.get_params(deep=False)
    yield from (str(shallow), pprint.pformat(shallow), json.dumps(shallow, default=repr))
    yield repr(clone(model))
    yield repr(copy.deepcopy(model))
    yield repr(copy.copy(model))
    with pytest.raises(ValueError, match="Invalid parameter 'nosuch'") as raised:
        model.set_params(nosuch=1)
    yield from texts_of_error(raised.value)


def texts_of_error(error):
    """Everything in which a person may see an error and whatever led to it, even what no traceback shows."""
    yield "".join(traceback.format_exception(error))
    yield repr(vars(error))
    while error is not None:
        yield from (str(error), repr(error), repr(error.args), *getattr(error, "__notes__", ()))
        error = error.__cause__ or error.__context__


def files_of(model, folder):
    """Everything in which an estimator may be written to a file."""
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        yield pickle.dumps(model, protocol)
    yield cloudpickle.dumps(model)
    joblib.dump(model, folder / "model.joblib")
    yield (folder / "model.joblib").read_bytes()


# --- an unfitted search -----------------------------------------------------------------------------------------------


class TestWrittenOut:
    @pytest.mark.parametrize("kind", URLS | BROKEN)
    def test_no_text_shows_it(self, kind):
        assert_silent(*texts_of(search(GRID, storage=(URLS | BROKEN)[kind])))

    @pytest.mark.parametrize("kind", URLS | BROKEN)
    def test_no_file_holds_it(self, kind, tmp_path):
        made = search(GRID, storage=(URLS | BROKEN)[kind])
        assert_silent(*files_of(made, tmp_path))
        assert_silent(*files_of(clone(made), tmp_path))
        assert_silent(*files_of(Pipeline([("search", made)]), tmp_path))

    @pytest.mark.parametrize("kind", URLS | BROKEN)
    def test_no_error_of_connecting_tells_it(self, kind, recwarn):
        warnings.simplefilter("always")
        url = (URLS | BROKEN)[kind]
        for act in (search(GRID, storage=url).fit, lambda *_: OptunaSearchCV.from_study("s", url, KnownScore())):
            with pytest.raises(StorageError, match=r"^storage='") as raised:
                act(X, Y)
            assert_silent(*texts_of_error(raised.value))
        assert_silent(*(str(one.message) for one in recwarn))

    def test_the_rest_of_the_url_is_shown(self):
        made = search(GRID, storage=url_with(""))
        shown = "postgresql+psycopg://me:***@127.0.0.1:1/db"
        assert str(made.get_params()["storage"]) == str(made.storage) == shown
        assert f"storage={shown!r}" in repr(made).replace("\n", "")
        with pytest.raises(StorageError, match=re.escape(f"storage={shown!r} cannot be opened: ")):
            made.fit(X, Y)

    @pytest.mark.parametrize("kind", URLS)
    def test_no_way_to_use_the_parameter_as_a_text_shows_it(self, kind):
        given = search(GRID, storage=URLS[kind]).get_params()["storage"]
        assert_silent(
            str(given), repr(given), f"{given}", f"{given:>80}", format(given, ""), "".join(given), given + ""
        )
        assert_silent(given.encode(), given.lower(), given[:], json.dumps(given), str([given]), str({"storage": given}))
        assert_silent(ascii(given), given.replace("@", " "), *given.split("@"), given.__reduce__().__repr__())
        assert_silent(pickle.dumps(given), cloudpickle.dumps(given), joblib.hash(given))

    def test_it_is_hidden_however_it_is_given(self):
        for made in (
            search(GRID).set_params(storage=url_with("")),
            clone(search(GRID, storage=url_with(""))),
            copy.deepcopy(search(GRID, storage=url_with(""))),
            search(GRID, storage=search(GRID, storage=url_with("")).get_params()["storage"]),
            make_pipeline(search(GRID)).set_params(optunasearchcv__storage=url_with("")),
        ):
            assert_silent(*texts_of(made))

        made = search(GRID)
        made.storage = url_with("")
        assert_silent(*texts_of(made))

    def test_no_model_around_it_shows_it(self, tmp_path):
        made = search(GRID, storage=url_with(""))
        for outer in (
            Pipeline([("scale", StandardScaler()), ("search", made)]),
            GridSearchCV(made, {"n_trials": [1, 2]}),
            OptunaSearchCV(made, {"n_trials": [1, 2]}),
            VotingClassifier([("one", made), ("other", Pipeline([("search", made)]))]),
            StackingClassifier([("one", made)], final_estimator=made),
            Pipeline([("search", GridSearchCV(VotingClassifier([("one", made)]), {"one__n_trials": [1, 2]}))]),
        ):
            assert_silent(*texts_of(outer))
            assert_silent(*files_of(outer, tmp_path))

    def test_skops_does_not_write_it(self):
        skops_io = pytest.importorskip("skops.io")
        dumped = skops_io.dumps(search(GRID, storage=url_with("")))
        with zipfile.ZipFile(io.BytesIO(dumped)) as archive:
            for name in archive.namelist():
                assert_silent(name, archive.read(name))

    def test_complaints_do_not_quote_it(self):
        with pytest.raises(InvalidRequestError, match="n_trials") as raised:
            search(GRID, storage=url_with(""), n_trials=-1, study_name="").fit(X, Y)
        assert_silent(*texts_of_error(raised.value))

    def test_a_url_without_a_password_is_left_as_it_is(self):
        for url in (
            "sqlite:///a:b@c.db",
            "postgresql+psycopg://me@127.0.0.1/db",
            "postgresql+psycopg://me:${PW}@127.0.0.1/db",
            "mysql://127.0.0.1:3306/db?charset=utf8",
            "a:b@c.db",
        ):
            given = search(GRID, storage=url).get_params()["storage"]
            assert type(given) is str
            assert given is url


# --- pickles ----------------------------------------------------------------------------------------------------------

LOST = (
    r"storage='postgresql\+psycopg://\w+:\*\*\*@127\.0\.0\.1:\d+/\w+' has lost its password, which is left out of "
    r"pickles .*Write it as an environment variable, for instance .*\$\{PGPASSWORD\}@"
)


def test_a_pickle_says_how_to_pass_the_password():
    made = pickle.loads(pickle.dumps(search(GRID, storage=url_with(""), study_name="s")))
    for act in (made.fit, lambda *_: OptunaSearchCV.from_study("s", made.storage, KnownScore())):
        with pytest.raises(StorageError, match=LOST):
            act(X, Y)
    again = pickle.loads(pickle.dumps(clone(made)))
    assert str(again.storage) == str(made.storage)
    with pytest.raises(StorageError, match=LOST):
        again.fit(X, Y)


#: Worker processes that begin at once, and with the variables that are set now.
forked = pytest.mark.filterwarnings("ignore:.*use of fork\\(\\) may lead to deadlocks:DeprecationWarning")


@forked
def test_a_worker_process_says_so_too():
    made = search(GRID, storage=url_with(""))
    # An error that comes at once has joblib end the pool, which may wait for ever for a lock that a dead worker held.
    with joblib.parallel_config("multiprocessing"), pytest.raises(ValueError, match=LOST):
        cross_val_score(made, X, Y, cv=2, n_jobs=2)


def unconnected(url, **engine_kwargs):
    return RDBStorage(url, engine_kwargs=engine_kwargs, skip_compatibility_check=True, skip_table_creation=True)


@pytest.fixture
def no_server(monkeypatch):
    """Storage objects of Optuna's can be made without the servers that they are for."""
    monkeypatch.setattr("optuna.storages._rdb.storage._VersionManager", lambda *_: None)
    home, client = "optuna.storages.journal._redis", SimpleNamespace(get=lambda key: None)
    monkeypatch.setattr(
        f"{home}.redis", SimpleNamespace(Redis=SimpleNamespace(from_url=lambda url: client)), raising=False
    )
    monkeypatch.setattr(f"{home}._imports", SimpleNamespace(check=lambda: None))


STORAGES = {
    "RDBStorage": lambda: unconnected(url_with("")),
    "RDBStorage, an odd password": lambda: unconnected(url_with("/")),
    "RDBStorage behind a cache": lambda: optuna.storages._CachedStorage(unconnected(url_with(""))),
    "RDBStorage, password in connect_args": lambda: unconnected(
        "postgresql+psycopg://me@127.0.0.1:1/db", connect_args={"password": "".join(HALVES)}
    ),
    "RDBStorage, url of a query": lambda: unconnected(in_query("password")),
    "Redis": lambda: JournalStorage(JournalRedisBackend(f"redis://me:{''.join(HALVES)}@127.0.0.1:1/0")),
}


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("kind", STORAGES)
@pytest.mark.usefixtures("no_server")
class TestStorageObjects:
    def test_no_file_holds_the_password_of_a_storage_object(self, kind, tmp_path):
        made = search(GRID, storage=STORAGES[kind]())
        assert_silent(*files_of(made, tmp_path))
        assert_silent(*files_of(Pipeline([("search", made)]), tmp_path))
        assert_silent(*files_of(OptunaSearchCV(made, {"n_trials": [1, 2]}), tmp_path))

    def test_no_text_shows_the_password_of_a_storage_object(self, kind):
        made = search(GRID, storage=STORAGES[kind]())
        assert_silent(repr(made), str(made), str(made.get_params()), str(vars(made)), estimator_html_repr(made))

    def test_a_pickle_says_how_to_pass_the_password_of_a_storage_object(self, kind):
        made = pickle.loads(pickle.dumps(search(GRID, storage=STORAGES[kind]())))
        with pytest.raises(StorageError, match=r"has lost its password, which is left out of pickles") as raised:
            made.fit(X, Y)
        assert_silent(*texts_of_error(raised.value))


@pytest.mark.usefixtures("no_server")
def test_a_server_that_goes_away_later_tells_it_not():
    storage, password = unconnected(url_with("")), "".join(HALVES)

    def fail():
        inner = Exception(f"connection to {url_with('')} failed: password={password}")
        raise sqlalchemy.exc.OperationalError(f"no route, {password}", {"password": password}, inner)

    with pytest.raises(StorageError, match=r"me:\*\*\*@127\.0\.0\.1:1/db': it does not answer, waited 0 s") as raised:
        persistently(storage, fail, patience=0)
    assert_silent(*texts_of_error(raised.value))


# --- a server that is not there ---------------------------------------------------------------------------------------


def test_a_server_that_refuses_is_a_clear_error():
    with socket.socket() as taken:  # bound, and not listening
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        expected = rf"^storage='postgresql\+psycopg://me:\*\*\*@127\.0\.0\.1:{port}/db' cannot be opened: .*refused"
        with pytest.raises(StorageError, match=expected):
            search(GRID, storage=url_with("", port)).fit(X, Y)


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_a_server_that_never_answers_is_an_error_within_ten_seconds():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = url_with("", silent.getsockname()[1])
        started = time.monotonic()
        with pytest.raises(StorageError, match=r"cannot be opened: ") as raised:
            search(GRID, storage=url).fit(X, Y)
        assert time.monotonic() - started < 10
    assert_silent(*texts_of_error(raised.value))


# --- variables --------------------------------------------------------------------------------------------------------


class TestVariables:
    URL = "postgresql+psycopg://me:${SECRET_OF_MINE}@127.0.0.1:1/db"

    @pytest.mark.parametrize(
        "url",
        [URL, "${SECRET_OF_MINE}", "postgresql+psycopg://${SECRET_OF_MINE}:x@h/db", "sqlite:///${SECRET_OF_MINE}.db"],
        ids=["password", "everything", "user", "path"],
    )
    def test_an_unset_variable_is_named_when_connecting_and_not_before(self, url, monkeypatch):
        monkeypatch.delenv("SECRET_OF_MINE", raising=False)
        made = clone(search(GRID, storage=url))
        expected = r"asks for the environment variable SECRET_OF_MINE, which is not set\.$"
        with pytest.raises(StorageError, match=expected):
            made.fit(X, Y)
        with pytest.raises(StorageError, match=expected):
            OptunaSearchCV.from_study("s", url, KnownScore())

    @pytest.mark.parametrize("between", [*BETWEEN, "@", "${X}"])
    def test_its_value_is_never_shown(self, between, monkeypatch, tmp_path):
        monkeypatch.setenv("SECRET_OF_MINE", between.join(HALVES))
        made = search(GRID, storage=self.URL)
        assert made.get_params()["storage"] == self.URL
        with pytest.raises(StorageError, match=r"^storage='.*\$\{SECRET_OF_MINE\}.*' cannot be opened: ") as raised:
            made.fit(X, Y)
        assert_silent(*texts_of_error(raised.value), *texts_of(made))
        assert_silent(*files_of(made, tmp_path))

    @pytest.mark.parametrize("kind", URLS | BROKEN)
    def test_a_whole_url_in_a_variable_is_never_shown(self, kind, monkeypatch, tmp_path):
        monkeypatch.setenv("SECRET_OF_MINE", (URLS | BROKEN)[kind])
        made = search(GRID, storage="${SECRET_OF_MINE}")
        with pytest.raises(StorageError, match=r"^storage='\$\{SECRET_OF_MINE\}' ") as raised:
            made.fit(X, Y)
        assert_silent(*texts_of_error(raised.value), *texts_of(made))
        assert_silent(*files_of(made, tmp_path))

    def test_its_value_is_not_shown_by_a_file_that_is_not_there(self, monkeypatch, tmp_path):
        monkeypatch.setenv("SECRET_OF_MINE", HALVES[0] + HALVES[1])
        url = f"sqlite:///{tmp_path}/nosuch.db?password=${{SECRET_OF_MINE}}"
        with pytest.raises(StorageError, match=r"^storage='.*SECRET_OF_MINE\}': there is no file") as raised:
            OptunaSearchCV.from_study("s", url, KnownScore())
        assert_silent(*texts_of_error(raised.value))

    def test_a_variable_is_read_when_connecting(self, tmp_path, monkeypatch):
        monkeypatch.setenv("PLACE", str(tmp_path / "no" / "such"))
        made = search(GRID, storage="sqlite:///${PLACE}/s.db", study_name="s", n_trials=2)
        monkeypatch.setenv("PLACE", str(tmp_path))
        made.fit(X, Y)
        assert (tmp_path / "s.db").exists()
        copied = pickle.loads(pickle.dumps(made))
        assert len(copied.study_.trials) == 2
        assert copied.storage == "sqlite:///${PLACE}/s.db"

    @pytest.mark.parametrize("how", ["by the environment", "by the option"])
    def test_the_command_reads_one_when_connecting(self, how, tmp_path, monkeypatch, capsys):
        url = "sqlite:///${PLACE}/s.db"
        monkeypatch.setenv("OPTUNA_SEARCH_STORAGE", url if how == "by the environment" else "nowhere.db")
        words = [] if how == "by the environment" else ["--storage", url]
        monkeypatch.delenv("PLACE", raising=False)
        assert main([*words, "list", "--json"]) == 1
        told = json.loads(capsys.readouterr().err)["error"]
        assert told == f"storage={url!r} asks for the environment variable PLACE, which is not set."
        monkeypatch.setenv("PLACE", str(tmp_path))
        search(GRID, storage=url, study_name="s", n_trials=2).fit(X, Y)
        assert main([*words, "list", "--json"]) == 0
        assert [study["name"] for study in json.loads(capsys.readouterr().out)] == ["s"]

    @pytest.mark.parametrize("as_json", [False, True], ids=["text", "JSON"])
    def test_the_command_never_shows_its_value(self, as_json, monkeypatch, capsys):
        monkeypatch.setenv("SECRET_OF_MINE", "".join(HALVES))
        monkeypatch.setenv("OPTUNA_SEARCH_STORAGE", self.URL)
        for words in (["list"], ["copy", "a", "b"], ["run", "nowhere.py:f", "--workers", "1"]):
            assert main([*words, *["--json"] * as_json]) == 1
        shown = capsys.readouterr()
        assert_silent(shown.out, shown.err)


# --- a real server ----------------------------------------------------------------------------------------------------

ODD = "p@ss:w/ör d%20#?&=;'\"\\+${X}$"


@pytest.fixture
def odd_role(postgres_url):
    """A role of the server whose name and password have all those characters that a URL gives a meaning to."""
    admin = sqlalchemy.create_engine(postgres_url, isolation_level="AUTOCOMMIT", poolclass=sqlalchemy.NullPool)
    name = f"me@home:{time.monotonic_ns()}/x y"
    with admin.connect() as connection:
        quoted = ODD.replace("'", "''")
        connection.connection.cursor().execute(f"CREATE ROLE \"{name}\" LOGIN PASSWORD '{quoted}'")
        connection.connection.cursor().execute(f'GRANT ALL ON SCHEMA public TO "{name}"')
    yield name
    with admin.connect() as connection:
        connection.connection.cursor().execute(f'DROP OWNED BY "{name}"')
        connection.connection.cursor().execute(f'DROP ROLE "{name}"')


class TestServer:
    @pytest.fixture
    def password(self, postgres_url):
        return sqlalchemy.make_url(postgres_url).password

    @pytest.fixture
    def with_variable(self, postgres_url, password, monkeypatch):
        monkeypatch.setenv("SECRET_OF_MINE", password)
        return postgres_url.replace(password, "${SECRET_OF_MINE}")

    @pytest.fixture
    def said(self, caplog):
        """Every word that is logged, at whatever level, and warned of."""
        for name in (
            "",
            "optuna",
            "sqlalchemy",
            "sqlalchemy.engine",
            "sqlalchemy.pool",
            "alembic",
            "psycopg",
            "joblib",
        ):
            caplog.set_level(logging.DEBUG, name)
        logging.getLogger("optuna").addHandler(caplog.handler)
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            yield lambda: [caplog.text, *(str(vars(record)) for record in caplog.records), *map(str, warned)]
        logging.getLogger("optuna").removeHandler(caplog.handler)

    def test_nothing_that_a_search_says_or_leaves_shows_it(self, postgres_url, password, said, tmp_path):
        fitted = search(GRID, storage=postgres_url, study_name="s", n_trials=2).fit(X, Y)
        for again in (fitted, clone(fitted), copy.deepcopy(fitted)):
            again.fit(X, Y)
        secrets = (password,)
        assert len(said()) > 10
        assert_silent(*said(), secrets=secrets)
        assert_silent(*texts_of(fitted), *files_of(fitted, tmp_path), secrets=secrets)
        assert_silent(repr(fitted.top_n_), repr(fitted.cv_results_), repr(fitted.best_trial_), secrets=secrets)
        engine = sqlalchemy.create_engine(postgres_url, poolclass=sqlalchemy.NullPool)
        with engine.connect() as connection:
            for table in sqlalchemy.inspect(engine).get_table_names():
                assert_silent(str(connection.exec_driver_sql(f'SELECT * FROM "{table}"').all()), secrets=secrets)

    def test_a_whole_life_of_studies_tells_it_nowhere(self, postgres_url, password, said, tmp_path, capfd):
        fitted = search(GRID, storage=postgres_url, study_name="s", n_trials=2, verbose=2).fit(X, Y)
        wider = fitted.fork({"x": [1, 2, 3]}, study_name="wider").fit(X, Y)
        read = OptunaSearchCV.from_study("wider", postgres_url, KnownScore())
        texts = [repr(wider.fork_report_), wider.fork_report_._repr_html_(), *texts_of(wider), *texts_of(read)]
        studies.copy_study("s", "copied", postgres_url)
        studies.rename_study("copied", "renamed", postgres_url)
        studies.rename_study("renamed", "moved", postgres_url, new_storage=tmp_path / "moved.journal")
        for end in (".csv", ".json", ".study", ".db"):
            studies.export_study("s", tmp_path / f"s{end}", postgres_url)
        studies.import_study(tmp_path / "s.study", postgres_url, study_name="imported")
        listed = studies.list_studies(postgres_url)
        texts += [repr(listed), listed._repr_html_(), repr(studies.compare("s", "wider", storage=postgres_url))]
        for words in (["list", "--json"], ["show", "s"], ["top", "wider", "--json"], ["compare", "s", "wider"]):
            assert main(["--storage", postgres_url, *words]) == 0
        studies.delete_study("imported", postgres_url)
        texts += [text for call in self.mistakes(fitted, postgres_url, tmp_path) for text in self.told(call)]
        assert_silent(*texts, *said(), *capfd.readouterr(), secrets=(password,))
        assert_silent(*(path.read_bytes() for path in tmp_path.iterdir() if path.is_file()), secrets=(password,))
        assert_silent(*files_of(wider, tmp_path), *files_of(clone(read), tmp_path), secrets=(password,))

    @staticmethod
    def mistakes(fitted, url, folder):
        """Whatever a user may get wrong with a study in this storage."""
        with sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool).begin() as connection:
            connection.exec_driver_sql("UPDATE trial_user_attributes SET value_json = '{}' WHERE trial_id = 1")
        return [
            lambda: fitted.fit(X, Y),  # whose record is damaged now
            lambda: clone(fitted).set_params(cv=3).fit(X, Y),
            lambda: OptunaSearchCV.from_study("nosuch", url, KnownScore()),
            lambda: OptunaSearchCV.from_study("wider", url, KnownScore(), {"x": [7]}),
            lambda: fitted.fork({"nosuch": [1]}, study_name="third").fit(X, Y),
            lambda: fitted.fork({"x": [1]}, study_name="s").fit(X, Y),
            lambda: studies.copy_study("wider", "s", url),
            lambda: studies.rename_study("wider", "s", url),
            lambda: studies.delete_study("nosuch", url),
            lambda: studies.export_study("s", folder / "s.study", url),
            lambda: studies.import_study(folder / "s.study", url, study_name="wider"),
            lambda: studies.compare("s", "nosuch", storage=url),
            lambda: search(GRID, storage=url, n_trials=0, sampler="nosuch").fit(X, Y),
        ]

    @staticmethod
    def told(call):
        with pytest.raises(OptunaSearchError) as raised:
            call()
        return texts_of_error(raised.value)

    def test_a_fitted_pickle_answers_and_its_study_asks_for_the_password(self, postgres_url, password):
        fitted = search(GRID, storage=postgres_url, n_trials=2).fit(X, Y)
        copied = pickle.loads(pickle.dumps(fitted))
        np.testing.assert_array_equal(copied.predict(X), fitted.predict(X))
        assert copied.best_params_ == fitted.best_params_
        with pytest.raises(StorageError, match=LOST) as raised:
            _ = copied.study_
        assert_silent(*texts_of_error(raised.value), secrets=(password,))

    def test_a_storage_object_is_silent_as_well(self, postgres_url, password, tmp_path):
        fitted = search(GRID, storage=RDBStorage(postgres_url), n_trials=2).fit(X, Y)
        assert_silent(*files_of(fitted, tmp_path), secrets=(password,))
        assert_silent(*files_of(fitted.fit(X, Y), tmp_path), *texts_of(fitted), secrets=(password,))

    @pytest.mark.parametrize("wrong", ["password", "database", "user"])
    def test_an_error_of_the_server_does_not_show_it(self, wrong, postgres_url, password):
        url = sqlalchemy.make_url(postgres_url)
        change = (
            {"password": "".join(HALVES)}
            if wrong == "password"
            else {"database" if wrong == "database" else "username": "nosuch"}
        )
        url = url.set(**change)
        with pytest.raises(
            StorageError, match=r"^storage='postgresql\+psycopg://\w+:\*\*\*@.* cannot be opened: "
        ) as raised:
            search(GRID, storage=url.render_as_string(hide_password=False)).fit(X, Y)
        assert_silent(*texts_of_error(raised.value), secrets=(password, *HALVES))

    def test_an_error_about_a_study_does_not_show_it(self, postgres_url, password):
        made = search(GRID, storage=postgres_url, study_name="s", n_trials=2).fit(X, Y)
        for act in (
            lambda: clone(made).set_params(error_score=0).fit(X, Y),
            lambda: OptunaSearchCV.from_study("nosuch", postgres_url, KnownScore()),
        ):
            with pytest.raises((ValueError, StorageError), match="study_name=") as raised:
                act()
            assert_silent(*texts_of_error(raised.value), secrets=(password,))

    @forked
    def test_a_variable_goes_through_pickles_and_to_workers(self, with_variable, password):
        made = search(GRID, storage=with_variable, study_name="{data}", n_trials=2)
        made.fit(X, Y)
        with joblib.parallel_config("multiprocessing"):
            scores = cross_val_score(pickle.loads(pickle.dumps(made)), X, Y, cv=3, n_jobs=2, error_score="raise")
        assert len(scores) == 3
        assert [study.n_trials for study in optuna.get_all_study_summaries(made.study_._storage)] == [2] * 4
        assert len(pickle.loads(pickle.dumps(made)).study_.trials) == 2
        assert_silent(pickle.dumps(made), repr(made), secrets=(password,))

    def test_a_variable_is_read_when_connecting(self, with_variable, password, monkeypatch):
        monkeypatch.setenv("SECRET_OF_MINE", "not this one")
        made = search(GRID, storage=with_variable, n_trials=2)
        with pytest.raises(StorageError, match="password authentication failed") as raised:
            made.fit(X, Y)
        assert_silent(*texts_of_error(raised.value), secrets=("not this one",))
        monkeypatch.setenv("SECRET_OF_MINE", password)
        assert made.fit(X, Y).n_trials_ == 2

    @pytest.mark.parametrize(
        ("user", "secret"),
        [
            ("quoted", "${SECRET_OF_MINE}"),
            ("${USER_OF_MINE}", "${SECRET_OF_MINE}"),
            ("quoted", "${FIRST_OF_MINE}${SECOND_OF_MINE}"),
            ("quoted", "quoted"),
        ],
        ids=["password", "user and password", "password of two variables", "written out"],
    )
    def test_any_character_may_be_in_a_password(self, user, secret, postgres_url, odd_role, monkeypatch, tmp_path):
        monkeypatch.setenv("USER_OF_MINE", odd_role)
        monkeypatch.setenv("SECRET_OF_MINE", ODD)
        monkeypatch.setenv("FIRST_OF_MINE", ODD[:5])
        monkeypatch.setenv("SECOND_OF_MINE", ODD[5:])
        whole = sqlalchemy.make_url(postgres_url)
        quote = sqlalchemy.engine.url.quote
        user = quote(odd_role, safe="") if user == "quoted" else user
        secret = quote(ODD, safe="") if secret == "quoted" else secret
        url = f"postgresql+psycopg://{user}:{secret}@{whole.host}:{whole.port}/{whole.database}"
        fitted = search(GRID, storage=url, n_trials=2).fit(X, Y)
        assert fitted.n_trials_ == 2
        secrets = (ODD, quote(ODD, safe=""), "w/ör d")
        assert_silent(*texts_of(fitted), *files_of(fitted, tmp_path), secrets=secrets)
