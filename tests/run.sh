#!/usr/bin/env bash
# Installs and passes the tests on a fresh machine that has Python 3.11 or later:
#
#     bash tests/run.sh [options for pytest]
#
# It builds the wheel and tests that, not the source tree, in two new virtual environments: one with the newest
# versions of everything, one with the oldest that pyproject.toml allows. All of it happens in a temporary directory.
# Set OPTUNA_SEARCH_TEST_POSTGRES=postgresql+psycopg://user:password@host/database (a user who may create databases)
# to run the tests that need PostgreSQL as well, and PYTHON to choose the interpreter.
set -euo pipefail

source=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d)
trap 'wait; rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 # tests run side by side, and each would take every processor
unset PYTHONPATH VIRTUAL_ENV   # either could put another optuna_search before the installed one
unset PYTHONDONTWRITEBYTECODE # what one process has compiled the many others need not
export TMPDIR="$work/tmp"    # what a test leaves behind goes with the rest
mkdir "$TMPDIR"

summary=()
failed=0

# Every step runs, so that one visit shows all that is wrong; a step that fails makes the end fail.
step() {
    local name=$1 start=$SECONDS verdict=passed
    shift
    printf '\n=== %s\n' "$name"
    "$@" || { verdict="FAILED ($?)" failed=1; }
    summary+=("$(printf '%-12s %4d s   %s' "$verdict" $((SECONDS - start)) "$name")")
}

# The tests are copied to where there is no package: in them `import optuna_search` can only be the installed one.
copy_all_but_the_package() {
    mkdir "$work/checkout"
    for entry in "$source"/*; do
        case ${entry##*/} in
        optuna_search | build | dist) ;;
        *) cp -R "$entry" "$work/checkout/" ;;
        esac
    done
}

# new_environment NAME [constraints of uv]: a virtual environment with the wheel and what its tests need.
new_environment() {
    local python="$work/$1/bin/python"
    uv venv --quiet --python "$work/tools/bin/python" "$work/$1"
    uv pip install --quiet --python "$python" "optuna-search[dev] @ file://$wheel" "${@:2}"
    (cd "$work/checkout" && "$python" -c '
import sys, optuna_search
assert optuna_search.__file__.startswith(sys.prefix), f"{optuna_search.__file__} is not the installed wheel"
')
}

# run_pytest NAME [options]
run_pytest() (
    cd "$work/checkout" &&
        "$work/$1/bin/pytest" -c pyproject.toml --rootdir . "${@:2}" tests --pyargs optuna_search
)

# build_docs: the site, with what the extra for it brings and nothing else, and no warning.
build_docs() {
    local python="$work/docs/bin/python"
    uv venv --quiet --python "$work/tools/bin/python" "$work/docs" &&
        uv pip install --quiet --python "$python" "optuna-search[docs] @ file://$wheel" &&
        (cd "$work/checkout" && "$python" -m sphinx -W --keep-going -n -q -b html docs docs/_build/html)
}
# Many tests wait for something, and leave their processor to others.
run_tests() { run_pytest "$1" -n 4 --durations 10 "${@:2}"; }

# What the tests import is compiled once, and not by each of the many processes that they start. Whatever is wrong with
# it they will tell.
compile_tests() { run_pytest "$1" --collect-only -qq >/dev/null 2>&1 || true; }

printf '=== Preparing\n'
"${PYTHON:-python3}" -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed")'
"${PYTHON:-python3}" -m venv "$work/tools"
"$work/tools/bin/pip" install --quiet --disable-pip-version-check uv
PATH="$work/tools/bin:$PATH"

copy_all_but_the_package
uv build --quiet --wheel --out-dir "$work" "$source"
wheel=$(echo "$work"/*.whl)
uv pip compile --quiet --resolution lowest-direct --python "$work/tools/bin/python" \
    --extra plots --extra parquet --extra dask --extra postgres --extra cmaes --extra grpc \
    --output-file "$work/oldest.txt" "$source/pyproject.toml" >/dev/null
new_environment newest "optuna-search[mlflow] @ file://$wheel"
new_environment oldest --constraints "$work/oldest.txt"

for environment in newest oldest; do
    compile_tests "$environment" &
done

cd "$source"
step "ruff check" "$work/newest/bin/ruff" check --no-cache .
step "ruff format" "$work/newest/bin/ruff" format --no-cache --check .
step "mypy" "$work/newest/bin/mypy" --cache-dir "$work/mypy" --python-executable "$work/newest/bin/python"
step "docs" build_docs
wait
step "tests, newest versions" run_tests newest "$@"
step "tests, oldest versions" run_tests oldest -m "not slow" "$@"

printf '\n=== Summary\n'
printf '%s\n' "${summary[@]}"
exit "$failed"
