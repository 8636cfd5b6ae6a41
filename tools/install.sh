#!/bin/sh
# Makes .venv and installs zchat into it, editable. Does nothing when that is already done.
#
#     sh tools/install.sh [EXTRAS]          EXTRAS as pip writes them, for example test,dev
#
# Needs a Python >= 3.11 with its venv module; Debian has that module in a package of its own
# (python3-venv), which is installed here when this user may. Run from the project's folder.
set -eu

extras=${1:-}
python=.venv/bin/python
stamp=.venv/installed-${extras:-run}

fail() {
    echo "zchat: $*" >&2
    exit 1
}

# Prints the first Python that is new enough and can run the statement $1.
find_python() {
    for name in python3 /usr/bin/python3 python3.14 python3.13 python3.12 python3.11; do
        if "$name" -c "import sys; $1; sys.exit(sys.version_info < (3, 11))" 2>/dev/null; then
            echo "$name"
            return
        fi
    done
    return 1
}

make_venv() {
    with_venv="import venv; from ensurepip import bootstrap"
    if ! found=$(find_python "$with_venv"); then
        sh tools/apt.sh python3-venv || true
        found=$(find_python "$with_venv") || {
            find_python pass >/dev/null ||
                fail "Python 3.11 or newer is missing: install it, then repeat this command"
            fail "Python's venv module is missing; type: sudo apt-get install python3-venv"
        }
    fi
    rm -rf .venv
    "$found" -m venv .venv || fail "$found could not make .venv (its reason is above)"
}

# What the installation depends on. The folder is part of it: a moved .venv has wrong paths inside.
wanted() {
    pwd
    cat setup.cfg pyproject.toml
}

# A .venv whose Python is gone, or that was never finished, is made again.
"$python" -m pip --version >/dev/null 2>&1 || make_venv

if ! wanted | cmp -s - "$stamp"; then
    echo "Installing zchat${extras:+ with the extras $extras} into .venv ..."
    "$python" -m pip install --quiet --disable-pip-version-check --editable ".${extras:+[$extras]}" ||
        fail "pip could not install what setup.cfg names (its reason is above); is there a network?"
    wanted >"$stamp"
fi
