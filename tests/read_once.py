"""Imported, it has alembic read the scripts of Optuna's tables once, and not for each database."""

from alembic.config import Config
from alembic.script import ScriptDirectory
from optuna.storages import RDBStorage

_read, _known = ScriptDirectory.from_config, {}


def _read_once(config: Config) -> ScriptDirectory:
    place = config.get_main_option("script_location")
    if place not in _known:
        _known[place] = _read(config)
    return _known[place]


ScriptDirectory.from_config = _read_once
RDBStorage("sqlite://")
