"""The command `zchat`. Errors are one line on stderr and exit code 2.

So is what handlers and remotes raise while they are imported. What the application's own module
raises is no error of ours: Python shows its traceback, except for a SyntaxError, of which the file
and the line say it all.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from zchat.cluster.curve import create_keys
from zchat.cluster.identity import OPERATOR
from zchat.config import servers, settings
from zchat.errors import ConfigError
from zchat.framework.loader import Found
from zchat.frontend.descriptors import raise_limit
from zchat.ops import check, runner, status
from zchat.testing.swarm import Plan

_DESCRIPTION = """\
Runs and looks at a cluster. All commands work on the project in the current folder: its
config/servers.json and config/settings.toml. ZCHAT_ENV chooses the environment (default:
development).
"""

_CHECK = "let people talk on the running chat, and see that nothing is lost; exit 1 if something is"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 good, 1 not all is well, 2 an error."""
    arguments = _parser().parse_args(argv)
    try:
        code: int = arguments.command(arguments)
    except (ConfigError, OSError) as error:
        print(f"zchat: {error}", file=sys.stderr)
        return 2
    except SyntaxError as error:
        print(f"zchat: {error.filename}:{error.lineno}: {error.msg}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="zchat", description=_DESCRIPTION)
    parser.add_argument(
        "--folder", type=Path, default=Path(), metavar="DIR", help="the project (default: here)"
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    run = commands.add_parser("run", help="run one server until SIGTERM; supervisord does this")
    run.add_argument("server", metavar="SERVER-ID", help="its id in config/servers.json")
    run.set_defaults(command=_run)
    asked = commands.add_parser("status", help="ask every server how it is; exit 1 if one is not")
    asked.add_argument("--json", action="store_true", help="for programs: everything they said")
    asked.set_defaults(command=_status)
    _add_check(commands.add_parser("check", help=_CHECK))
    routes = commands.add_parser(
        "routes", help="what clients and servers may call, and where it is"
    )
    routes.set_defaults(command=_routes)
    keys = commands.add_parser(
        "keys", help="make CURVE keys for servers on several machines, and for this command"
    )
    keys.add_argument("names", metavar="ID", nargs="*", help="servers; all listed ones by default")
    keys.set_defaults(command=_keys)
    return parser


def _add_check(checked: argparse.ArgumentParser) -> None:
    checked.add_argument("--people", type=_count, default=200, help="how many (200)")
    checked.add_argument("--rooms", type=_count, default=20, help="where they are (20)")
    checked.add_argument("--seconds", type=_positive, default=60, help="how long they talk (60)")
    checked.add_argument(
        "--rate", type=_positive, default=2, help="messages a second and person (2)"
    )
    checked.add_argument("--seed", type=int, help="decides what they do; a random one is printed")
    checked.add_argument("--json", action="store_true", help="for programs")
    checked.set_defaults(command=_check)


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise ValueError
    return number


def _run(arguments: argparse.Namespace) -> int:
    runner.run(arguments.folder.resolve(), arguments.server)
    return 0


def _status(arguments: argparse.Namespace) -> int:
    figures = settings.load(arguments.folder / "config" / "settings.toml")
    answers = asyncio.run(status.ask(_topology(arguments.folder), figures, arguments.folder))
    if arguments.json:
        print(json.dumps(answers, indent=2))
    else:
        print(status.table(answers))
    return 0 if status.is_well(answers) else 1


def _check(arguments: argparse.Namespace) -> int:
    folder = arguments.folder.resolve()
    figures = settings.load(folder / "config" / "settings.toml")
    project = check.Project(_topology(folder), figures, folder)
    plan = Plan(
        secrets.randbits(32) if arguments.seed is None else arguments.seed,
        people=arguments.people,
        rooms=arguments.rooms,
        rate=arguments.rate,
        prefix=check.new_prefix(),
    )
    raise_limit()  # each of the people is a socket
    verdict, compared = asyncio.run(check.run(project, plan, arguments.seconds))
    if arguments.json:
        print(json.dumps(check.as_json(verdict, plan, compared=compared), indent=2))
    else:
        print(check.table(verdict, plan, compared=compared))
    return 0 if verdict.ok else 1


def _routes(arguments: argparse.Namespace) -> int:
    folder = arguments.folder.resolve()
    if not (folder / "config" / "servers.json").exists():  # else they were those of any project
        raise ConfigError(f"{folder} is no project: it has no config/servers.json")
    figures = settings.load(folder / "config" / "settings.toml")
    app = runner.application(folder, figures.application.module)
    print(_routes_table({"handler": app.handlers(), "remote": app.remotes()}))
    return 0


def _keys(arguments: argparse.Namespace) -> int:
    figures = settings.load(arguments.folder / "config" / "settings.toml")
    folder = arguments.folder / figures.cluster.keys
    topology = _topology(arguments.folder)
    names = arguments.names or [*(server.id for server in topology.servers), OPERATOR]
    for name in names:
        if name != OPERATOR:
            topology.get(name)
    taken = [name for name in names if any(folder.glob(f"{name}.key*"))]
    if taken:  # nothing is made when one cannot be: half a set of keys is of no use
        raise ConfigError(
            f"{folder} has keys of {', '.join(taken)}: name those to be made, or remove what is "
            "no longer in use"
        )
    for name in names:
        public, secret = create_keys(folder, name)
        print(f"{public}  (public: every machine needs it)")
        print(f"{secret}  (secret: only where {name} runs)")
    return 0


def _topology(folder: Path) -> servers.Topology:
    return servers.load(folder / "config" / "servers.json", servers.environment_name())


def _routes_table(found: Mapping[str, Sequence[Found]]) -> str:
    """One line a method: what it is, its route, where it is written."""
    rows = [(kind, str(entry.route), _place(entry)) for kind in found for entry in found[kind]]
    kinds = max((len(kind) for kind, _, _ in rows), default=0)
    routes = max((len(route) for _, route, _ in rows), default=0)
    return "\n".join(f"{kind:<{kinds}}  {route:<{routes}}  {place}" for kind, route, place in rows)


def _place(entry: Found) -> str:
    path = entry.path
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    return f"{shown}:{entry.line}"


if __name__ == "__main__":
    sys.exit(main())
