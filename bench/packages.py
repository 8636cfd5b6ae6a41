"""What peers are made of: packages of Python, Node.js and Debian, installed once.

All of it goes to `.bench/`: a virtual environment for the peers that are written in Python, and a
folder of Node packages for each that is not. Debian's packages are installed when this user may.
A package that cannot be had costs its peer and nothing else.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.contenders import ROOT

CACHE = ROOT / ".bench"
SERVERS = ROOT / "bench" / "servers"
PYTHON = CACHE / "venv" / "bin" / "python"
PATIENCE = 600.0
"""Seconds that one installation may take."""


class NotToBeHadError(Exception):
    """A package, or what installs it, is not to be had on this machine."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What one peer is made of."""

    python: Sequence[str] = ()
    """As pip takes them."""

    node: str = ""
    """The folder in bench/servers whose package.json names them."""

    debian: Sequence[tuple[str, str]] = ()
    """A program, or the full path of a file, and the package that brings it."""

    def install(self) -> None:
        """Install what is not there yet.

        Raises:
            NotToBeHadError: with the reason, for people to read.
        """
        for program, package in self.debian:
            _install_debian(program, package)
        if self.node:
            _install_node(self.node)
        if self.python:
            _install_python(self.python)

    def versions(self) -> dict[str, str]:
        """What is installed, package to version, those that were asked for and no others."""
        known = {package: _debian_version(package) for _, package in self.debian}
        versions = {package: version for package, version in known.items() if version}
        if self.node:
            versions |= _node_versions(self.node)
        names = [re.split(r"[=~<>\[]", wanted)[0] for wanted in self.python]
        return versions | (_python_versions(names) if names else {})


def node_path(folder: str) -> Path:
    """Where Node finds the packages of such a folder: its NODE_PATH."""
    return CACHE / folder / "node_modules"


def program(name: str) -> str | None:
    """Where a program is; Debian keeps servers where only root looks for them."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    return found or (name if Path(name).exists() else None)


def _install_debian(name: str, package: str) -> None:
    if program(name) is None:
        _run(f"Debian's {package}", ["sh", "tools/apt.sh", package])


def _install_node(folder: str) -> None:
    here, wanted = CACHE / folder, SERVERS / folder / "package.json"
    if _is_installed(here, wanted.read_text()):
        return
    for name, package in (("node", "nodejs"), ("npm", "npm")):
        _install_debian(name, package)
    here.mkdir(parents=True, exist_ok=True)
    shutil.copy(wanted, here)
    # Scripts of packages would compile what none of the peers needs.
    words = ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"]
    _run(f"the Node packages of {folder}", ["npm", *words], here)
    _note_installed(here, wanted.read_text())


def _install_python(wanted: Sequence[str]) -> None:
    here = CACHE / "venv"
    if not PYTHON.exists():
        _run("a virtual environment", [sys.executable, "-m", "venv", str(here)])
    text = "\n".join(wanted)
    stamps = here / re.sub(r"\W+", "-", wanted[0])
    if _is_installed(stamps, text):
        return
    words = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted]
    _run(", ".join(wanted), [str(PYTHON), *words])
    _note_installed(stamps, text)


def _is_installed(folder: Path, wanted: str) -> bool:
    stamp = folder / "installed"
    return stamp.exists() and stamp.read_text() == wanted


def _note_installed(folder: Path, wanted: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "installed").write_text(wanted)


def _run(what: str, command: Sequence[str], folder: Path = ROOT) -> None:
    print(f"Installing {what} ...", flush=True)
    try:
        ended = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
    except subprocess.TimeoutExpired:
        raise NotToBeHadError(f"{what}: not installed within {PATIENCE:.0f} s") from None
    if ended.returncode:
        said = (ended.stderr or ended.stdout).strip().splitlines()
        raise NotToBeHadError(f"{what}: {said[-1] if said else 'not to be installed here'}")


def _debian_version(package: str) -> str:
    """Empty when the program did not come as this package."""
    if shutil.which("dpkg-query") is None:
        return ""
    query = ["dpkg-query", "--show", "--showformat=${Version}", package]
    return subprocess.run(query, capture_output=True, text=True).stdout


def _node_versions(folder: str) -> dict[str, str]:
    wanted = json.loads((SERVERS / folder / "package.json").read_text())["dependencies"]
    node = subprocess.run(["node", "--version"], capture_output=True, text=True).stdout.strip()
    packages = {name: node_path(folder) / name / "package.json" for name in wanted}
    versions = {name: json.loads(path.read_text())["version"] for name, path in packages.items()}
    return {"node": node.removeprefix("v")} | versions


def _python_versions(names: Sequence[str]) -> dict[str, str]:
    """Those of the peers' environment, which is not the one that this runs in."""
    code = "import importlib.metadata as m, json, sys; "
    code += "print(json.dumps({name: m.version(name) for name in sys.argv[1:]}))"
    ended = subprocess.run([PYTHON, "-c", code, *names], capture_output=True, text=True, check=True)
    versions: dict[str, str] = json.loads(ended.stdout)
    return versions
