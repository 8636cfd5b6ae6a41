"""Start, stop and look at the chat in this folder: what `make run`, `stop` and `status` do.

Starting is more than `supervisord`: it waits until every server of config/servers.json is up and
answers, says which one does not and shows the end of its log. Run by .venv's Python, in the
project's folder.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path

BIN = Path(sys.executable).parent
UP_WITHIN = 30.0
"""Seconds that the servers have to come up; a slow machine takes about five."""

PATIENCE = 8.0
"""Seconds after which BACKOFF (it ended right after its start) is no hiccup any more."""

DOWN_WITHIN = 60.0
"""Seconds until supervisord has stopped everything; it kills what does not stop by itself."""

LONGEST_FOLDER = 80
"""Bytes in the project's path: a Unix socket's may have 107, with /run/supervisor.sock and the
process id that supervisord appends while it binds."""

GIVEN_UP = frozenset({"FATAL", "EXITED", "UNKNOWN"})
"""supervisord does not start a process in one of these states again by itself. STOPPED is not
among them: every process is in that state before its first start."""


class NotUpError(Exception):
    """A server did not come up; its name is in `server`."""

    def __init__(self, server: str, problem: str) -> None:
        super().__init__(f"{server}: {problem}")
        self.server = server


def supervisorctl(*arguments: str) -> str:
    """What supervisorctl prints; its exit status is not looked at."""
    command: list[str | Path] = [BIN / "supervisorctl", "-c", "supervisord.conf", *arguments]
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return ended.stdout + ended.stderr


def supervisor_pid() -> int | None:
    """The process id of this folder's supervisord; None when it does not run."""
    answer = supervisorctl("pid").strip()
    return int(answer) if answer.isdigit() else None


def process_states() -> dict[str, str]:
    """Server id to supervisord's word for its state."""
    lines = [line.split() for line in supervisorctl("status").splitlines()]
    return {words[0]: words[1] for words in lines if len(words) > 1 and words[1].isupper()}


def start_supervisor() -> None:
    """Start supervisord, or let the running one follow its configuration.

    Raises:
        SystemExit: it refused; what it says is already on the terminal.
    """
    pid = supervisor_pid()
    if pid is not None:
        print(f"supervisord already runs (pid {pid}).")
        print(supervisorctl("update") + supervisorctl("start", "all"), end="")
        return
    # supervisord opens its log and its socket before anything of zchat runs.
    for folder in ("logs", "run"):
        Path(folder).mkdir(exist_ok=True)
    if len(os.fsencode(Path.cwd())) > LONGEST_FOLDER:
        sys.exit(f"zchat: supervisord needs a path of at most {LONGEST_FOLDER} bytes: {Path.cwd()}")
    if subprocess.run([BIN / "supervisord", "-c", "supervisord.conf"]).returncode != 0:
        sys.exit("zchat: supervisord did not start; its reason is above.")


def wait_until_running(started: float) -> list[str]:
    """Wait for state RUNNING everywhere.

    Args:
        started: when the waiting began, by `time.monotonic`.

    Returns:
        the ids of the servers.

    Raises:
        NotUpError: supervisord gave one up, or it takes too long.
    """
    while True:
        waited = time.monotonic() - started
        states = process_states()
        missing = {server: state for server, state in states.items() if state != "RUNNING"}
        for server, state in missing.items():
            hopeless = state in GIVEN_UP or (state == "BACKOFF" and waited > PATIENCE)
            if hopeless or waited > UP_WITHIN:
                raise NotUpError(server, f"is in state {state} after {waited:.0f} s")
        if states and not missing:
            return sorted(states)
        if waited > UP_WITHIN:
            raise NotUpError("supervisord", "has no server to run")
        time.sleep(0.2)


def answers(url: str) -> str | None:
    """None when `url` answers 200, else what it does instead."""
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            response.read()
    except OSError as error:
        return f"{url}: {error}"
    return None


def wait_until_healthy(urls: Iterable[tuple[str, str]], deadline: float) -> None:
    """Wait until each `(server id, url)` answers 200.

    Raises:
        NotUpError: one does not by the deadline.
    """
    for server, url in urls:
        while problem := answers(url):
            if time.monotonic() > deadline:
                raise NotUpError(server, problem)
            time.sleep(0.1)


def addresses(servers: list[str]) -> tuple[str, list[tuple[str, str]]]:
    """The chat's URL and, for the frontends among `servers`, `(server id, URL to try)`."""
    from zchat.config.servers import environment_name, load

    topology = load(Path("config/servers.json"), environment_name())
    health = []
    page = ""
    for server in topology.frontends:
        if server.id not in servers:
            continue
        host = f"[{server.host}]" if ":" in server.host else server.host
        is_page = server.type == "web"
        path = "/" if is_page else "/healthz"
        health.append((server.id, f"http://{host}:{server.client_port}{path}"))
        if is_page and not page:
            shown = "localhost" if server.host in {"127.0.0.1", "0.0.0.0"} else host
            page = f"http://{shown}:{server.client_port}"
    return page, health


def log_tail(server: str) -> str:
    """The last lines that `server` logged."""
    if server == "supervisord":
        return "\n".join(Path("logs/supervisord.log").read_text().splitlines()[-20:])
    text = supervisorctl("tail", "-3000", server)
    return "\n".join(text.splitlines()[-20:])


def start() -> int:
    """Start what does not run yet and wait for it; 1 when something does not come up."""
    start_supervisor()
    started = time.monotonic()
    try:
        servers = wait_until_running(started)
        page, health = addresses(servers)
        wait_until_healthy(health, started + UP_WITHIN)
    except NotUpError as error:
        print(f"{log_tail(error.server)}\n\nzchat: {error}", file=sys.stderr)
        print("The end of its log is above; make stop ends what runs.", file=sys.stderr)
        return 1
    print(f"{len(servers)} servers run: {', '.join(servers)}")
    print(f"\n    Open   {page}\n    Stop   make stop\n")
    return 0


def stop() -> int:
    """Stop supervisord and with it all servers; fine when nothing runs."""
    if supervisor_pid() is None:
        print("Not running.")
        return 0
    supervisorctl("shutdown")
    deadline = time.monotonic() + DOWN_WITHIN
    # The socket goes last, after all servers have ended; until then `pid` answers with a fault.
    while not re.search("no such file|refused connection", supervisorctl("pid")):
        if time.monotonic() > deadline:
            print("zchat: supervisord is still stopping its servers; see logs/", file=sys.stderr)
            return 1
        time.sleep(0.2)
    print("Stopped.")
    return 0


def status() -> int:
    """Print supervisord's table; 1 when something does not run."""
    if supervisor_pid() is None:
        print("Not running.")
        return 1
    print(supervisorctl("status"), end="")
    return 0 if set(process_states().values()) == {"RUNNING"} else 1


def main(arguments: list[str]) -> int:
    """Run the command that the arguments name."""
    commands: dict[str, Callable[[], int]] = {"start": start, "stop": stop, "status": status}
    if len(arguments) != 1 or arguments[0] not in commands:
        print(f"usage: tools/chat.py {'|'.join(commands)}", file=sys.stderr)
        return 2
    return commands[arguments[0]]()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
