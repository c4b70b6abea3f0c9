"""Imported, it has Optuna read the version of its tables once: it does so whenever a database is opened, for long."""

from optuna.storages import RDBStorage
from optuna.storages._rdb.storage import _VersionManager

_head_version = RDBStorage("sqlite://")._version_manager.get_head_version()
_VersionManager.get_head_version = lambda manager: _head_version
