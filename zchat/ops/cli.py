"""The command `zchat`. Errors are one line on stderr and exit code 2, or 1 when a server's part
cannot start.

So is what handlers and remotes raise while they are imported. What the application's own module
raises is no error of ours: Python shows its traceback, except for a SyntaxError, of which the file
and the line say it all.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import shlex
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from msgspec.structs import replace

from zchat.cluster.curve import create_keys
from zchat.cluster.identity import OPERATOR
from zchat.config import servers, settings
from zchat.errors import ConfigError, RequestError, StartError
from zchat.framework.app.project import application
from zchat.frontend.sockets.descriptors import raise_limit
from zchat.ops import bench, check, init, publish, routes, runner, status
from zchat.ops.load.page import page
from zchat.ops.load.plan import Plan as Load
from zchat.ops.load.progress import ProgressBar
from zchat.ops.load.report import Report, as_json
from zchat.ops.load.report import table as load_table
from zchat.testing.swarm import Plan

_DESCRIPTION = """\
Runs and looks at a cluster. All commands work on the project in the current folder: its
config/servers.json and config/settings.toml. ZCHAT_ENV chooses the environment (default:
development).
"""

_BENCH = "load the running chat: how much, how late, at what cost; exit 1 if something is lost"

_CHECK = "let people talk on the running chat, and see that nothing is lost; exit 1 if something is"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 good, 1 not all is well, 2 an error.

    What is wrong before a server's first part starts is an error.
    """
    arguments = _parser().parse_args(argv)
    try:
        code: int = arguments.command(arguments)
    except (ConfigError, OSError) as error:
        print(f"zchat: {error}", file=sys.stderr)
        return 2
    except StartError as error:
        print(f"zchat: {error}", file=sys.stderr)
        return 1
    except SyntaxError as error:
        print(f"zchat: {error.filename}:{error.lineno}: {error.msg}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="zchat", description=_DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"zchat {version('zchat')}")
    parser.add_argument(
        "--folder", type=Path, default=Path(), metavar="DIR", help="the project (default: here)"
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    made = commands.add_parser("init", help="make a project: a cluster that runs, to begin with")
    made.add_argument("name", metavar="NAME", help="its folder; made if it is missing")
    made.add_argument("--chat", action="store_true", help="start from a copy of the chat")
    made.set_defaults(command=_init)
    run = commands.add_parser("run", help="run one server until SIGTERM; supervisord does this")
    run.add_argument("server", metavar="SERVER-ID", help="its id in config/servers.json")
    run.set_defaults(command=_run)
    asked = commands.add_parser("status", help="ask every server how it is; exit 1 if one is not")
    asked.add_argument("--json", action="store_true", help="for programs: everything they said")
    asked.set_defaults(command=_status)
    _add_check(commands.add_parser("check", help=_CHECK))
    _add_bench(commands.add_parser("bench", help=_BENCH))
    _add_publish(commands.add_parser("publish", help="put something into a room; exit 1 if not"))
    listed = commands.add_parser(
        "routes", help="what clients and servers may call, where it is, and its filters"
    )
    listed.set_defaults(command=_routes)
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


def _add_bench(loaded: argparse.ArgumentParser) -> None:
    loaded.add_argument("--people", type=_count, default=200, help="how many (200)")
    loaded.add_argument("--rooms", type=_count, default=20, help="where they are, evenly (20)")
    loaded.add_argument("--talkers", type=_count, help="how many of each room talk (all)")
    loaded.add_argument(
        "--rate", type=_positive, default=2, help="messages a second and talker (2)"
    )
    loaded.add_argument("--seconds", type=_positive, default=30, help="that are measured (30)")
    loaded.add_argument(
        "--warmup", type=_positive, default=2, help="seconds before, not measured (2)"
    )
    loaded.add_argument("--payload", type=_count, default=64, help="characters of a message (64)")
    loaded.add_argument(
        "--gate",
        metavar="URL",
        help="ws://host:port of a gate elsewhere (default: the project's); its servers are not "
        "asked what they use, and its journal is not compared",
    )
    loaded.add_argument("--processes", type=_count, help="that generate it (as many as it needs)")
    loaded.add_argument("--json", type=Path, metavar="FILE", help="for programs; -: on stdout")
    loaded.add_argument("--html", type=Path, metavar="FILE", help="a page with charts")
    loaded.set_defaults(command=_bench)


def _add_publish(published: argparse.ArgumentParser) -> None:
    published.add_argument("room", metavar="ROOM", help="its name")
    published.add_argument("body", metavar="JSON", help="an object; - reads it from stdin")
    published.add_argument("--route", default="", help="of the push (default: the application's)")
    published.add_argument("--uid", default="", help="who it is from (default: nobody)")
    published.add_argument("--cid", default="", help="its own id: said twice, it is there once")
    published.add_argument(
        "--to", metavar="UID", action="append", help="only for this member; may be repeated"
    )
    published.add_argument("--timeout", type=_positive, default=5, help="seconds it may take (5)")
    published.set_defaults(command=_publish)


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


def _init(arguments: argparse.Namespace) -> int:
    folder = arguments.folder / arguments.name
    for name in init.create(folder, chat=arguments.chat):
        print(folder / name)
    print(f"\nNow type: cd {shlex.quote(str(folder))} && supervisord\nand open {init.PAGE}")
    return 0


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


def _bench(arguments: argparse.Namespace) -> int:
    folder = arguments.folder.resolve()
    project = None
    if arguments.gate is None:
        figures = settings.load(folder / "config" / "settings.toml")
        project = check.Project(_topology(folder), figures, folder)
    plan = Load(
        bench.new_prefix(),
        people=arguments.people,
        rooms=arguments.rooms,
        talkers=arguments.talkers,
        rate=arguments.rate,
        seconds=arguments.seconds,
        warmup=arguments.warmup,
        payload=arguments.payload,
        processes=arguments.processes or 1,
    )
    if arguments.processes is None:
        plan = replace(plan, processes=bench.processes_for(plan.offered))
    found = _bench_with_bar(arguments.gate, plan, project)
    _write_report(arguments, found)
    return 0 if found.ok else 1


def _bench_with_bar(url: str | None, plan: Load, project: check.Project | None) -> Report:
    bar = ProgressBar(plan, sys.stderr)
    try:
        return asyncio.run(bench.run(url, plan, project, bar.show))
    finally:
        bar.end()


def _write_report(arguments: argparse.Namespace, found: Report) -> None:
    text = json.dumps(as_json(found), indent=2)
    if arguments.html is not None:
        arguments.html.write_text(page(found), encoding="utf-8")
    if arguments.json == Path("-"):
        print(text)
        return
    if arguments.json is not None:
        arguments.json.write_text(text + "\n", encoding="utf-8")
    print(load_table(found))


def _publish(arguments: argparse.Namespace) -> int:
    """Prints the place of what was published, as the application's own answers do."""
    try:
        body = publish.body_of(sys.stdin.read() if arguments.body == "-" else arguments.body)
        post = publish.Post(
            arguments.room, body, arguments.route, arguments.uid, arguments.cid, arguments.to
        )
        place = asyncio.run(publish.publish(arguments.folder.resolve(), post, arguments.timeout))
    except ValueError as error:
        print(f"zchat: {error}", file=sys.stderr)
        return 2
    except RequestError as error:
        print(f"zchat: {error}", file=sys.stderr)
        return 1
    print(json.dumps(place._asdict()))
    return 0


def _routes(arguments: argparse.Namespace) -> int:
    folder = arguments.folder.resolve()
    if not (folder / "config" / "servers.json").exists():  # else they were those of any project
        raise ConfigError(f"{folder} is no project: it has no config/servers.json")
    figures = settings.load(folder / "config" / "settings.toml")
    file = servers.ServersFile(folder / "config" / "servers.json", servers.environment_name())
    print(routes.table(application(folder, figures.application.module), file, figures))
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


if __name__ == "__main__":
    sys.exit(main())
