"""What supervisorctl says of what supervisord refuses."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from xmlrpc.client import Fault

import pytest
from supervisor.supervisorctl import (
    Controller,
    DefaultControllerPlugin,
    LSBInitExitStatuses,
)
from supervisor.xmlrpc import Faults

from zchat.ops.ctl import Plugin, make_plugin, reason


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CANT_REREAD: zchat: servers.json:2: not valid", "servers.json:2: not valid"),
        ("CANT_REREAD: no such option: x", "no such option: x"),
        ("BAD_NAME: chat-9", "chat-9"),
        ("SHUTDOWN_STATE", "shutdown state"),
    ],
)
def test_reasons(text: str, expected: str) -> None:
    assert reason(Fault(1, text)) == expected


class Supervisor:
    """Refuses to read its configuration, or does it."""

    def __init__(self, fault: Fault | None) -> None:
        self._fault = fault

    def reloadConfig(self) -> Any:  # noqa: N802 (supervisord's name)
        if self._fault is not None:
            raise self._fault
        return [[[], [], []]]


def control(fault: Fault | None, command: str) -> tuple[list[str], int]:
    """What supervisorctl with our plugin prints, and how it exits."""
    printed: list[str] = []
    options: Any = SimpleNamespace(
        prompt="",
        plugin_factories=[("default", DefaultControllerPlugin, {}), ("zchat", make_plugin, {})],
        interactive=False,
    )
    controller: Any = Controller(options)
    controller.output = printed.append
    controller.get_supervisor = lambda: Supervisor(fault)
    controller.onecmd(command)
    assert isinstance(options.plugins[1], Plugin)
    return printed, controller.exitstatus


@pytest.mark.parametrize("command", ["update", "reread"])
def test_a_command_that_is_refused(command: str) -> None:
    fault = Fault(Faults.CANT_REREAD, "CANT_REREAD: zchat: servers.json:2: not valid")
    printed, code = control(fault, command)
    (line,) = printed
    assert line.startswith("ERROR: ")
    assert line.endswith("servers.json:2: not valid")
    assert "<" not in line
    assert code == LSBInitExitStatuses.GENERIC


@pytest.mark.parametrize(
    ("command", "expected"), [("update", []), ("reread", ["No config updates to processes"])]
)
def test_a_command_that_is_done(command: str, expected: list[str]) -> None:
    assert control(None, command) == (expected, LSBInitExitStatuses.SUCCESS)


def test_other_errors_are_supervisorctls_own() -> None:
    printed, _ = control(None, "add chat-9")
    assert "AttributeError" in printed[0]
