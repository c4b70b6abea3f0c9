"""What a test needs that not every machine has."""

import os

import pytest


def needed(what: str, is_there: bool) -> None:
    """Skip a test on a machine that lacks what it needs; in CI, which installs it, fail."""
    if not is_there and os.environ.get("CI", "").lower() == "true":
        pytest.fail(f"CI must run the tests that need {what}: it is not there")
    if not is_there:
        pytest.skip(f"needs {what}")
