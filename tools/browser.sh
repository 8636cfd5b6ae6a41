#!/bin/sh
# Makes sure that the tests have a browser: the system's Chromium, else Playwright's own.
#
# Run from the project's folder, after tools/install.sh test. Which one the tests start is decided
# by the same rule in tests/support/browser.py.
set -eu

playwright() {
    .venv/bin/python -m playwright "$@"
}

fail() {
    echo "zchat: $*" >&2
    exit 1
}

find_browser() {
    command -v chromium || command -v chromium-browser || command -v google-chrome
}

find_browser >/dev/null || sh tools/apt.sh chromium libatomic1 || {
    echo "Installing Playwright's Chromium ..."
    playwright install chromium >/dev/null 2>&1
} || fail "the tests need a browser; type: sudo apt-get install chromium"

# Playwright brings its own node, and that needs a library which small systems do not have.
playwright --version >/dev/null 2>&1 || sh tools/apt.sh libatomic1 ||
    fail "Playwright does not start; type: sudo apt-get install libatomic1"
