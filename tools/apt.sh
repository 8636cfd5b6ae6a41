#!/bin/sh
# Installs Debian packages if this user may: root, or sudo that asks for no password.
#
#     sh tools/apt.sh PACKAGE...            exit status 1: not possible here, nothing was said
set -eu

command -v apt-get >/dev/null || exit 1
if [ "$(id -u)" -eq 0 ]; then
    as_root=env
elif sudo -n true 2>/dev/null; then
    as_root="sudo -n env"
else
    exit 1
fi

apt() {
    $as_root DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 "$@" >/dev/null
}

echo "Installing $* with apt-get ..."
# The package lists of a fresh machine are often empty or old: update them only when needed.
apt install --no-install-recommends "$@" 2>/dev/null ||
    { apt update && apt install --no-install-recommends "$@"; }
