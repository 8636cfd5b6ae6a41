"""supervisorctl plugin: what supervisord refuses is said as a sentence.

supervisorctl itself shows the answers that a command does not expect as Python would: the class of
the exception, its number, the file and the line of supervisorctl in which it was raised. With

    [ctlplugin:zchat]
    supervisor.ctl_factory=zchat.ops.ctl:make_plugin

in supervisord.conf they are `ERROR:` and the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from xmlrpc.client import Fault

from supervisor.supervisorctl import ControllerPluginBase, LSBInitExitStatuses


class Plugin(ControllerPluginBase):  # type: ignore[misc]  # supervisor is untyped
    """Adds no command."""


def make_plugin(controller: Any) -> Plugin:
    """The factory of [ctlplugin:zchat]: wraps the commands that there are already."""
    for plugin in controller.options.plugins:
        for name in dir(plugin):
            # What the controller does itself, as `help`, it goes on doing.
            if name.startswith("do_") and not hasattr(controller, name):
                setattr(controller, name, partial(_run, controller, getattr(plugin, name)))
    return Plugin(controller)


def _run(controller: Any, command: Callable[[str], Any], argument: str) -> Any:
    try:
        return command(argument)
    except Fault as fault:
        controller.output(f"ERROR: {reason(fault)}")
        controller.exitstatus = LSBInitExitStatuses.GENERIC
        return None


def reason(fault: Fault) -> str:
    """What a fault is about, for people: what supervisord calls it says nothing beside a text."""
    name, _, text = fault.faultString.partition(": ")
    return text.removeprefix("zchat: ") or name.replace("_", " ").lower()
