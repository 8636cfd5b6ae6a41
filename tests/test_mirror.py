"""Every source file has its test file: zchat/rooms/broker.py has tests/rooms/test_broker.py."""

from __future__ import annotations

from tests.support.sources import PACKAGE, ROOT, modules

CHAT = "tests/chat/test_chat.py talks to the whole chat over the wire, as its clients do"
SCAFFOLD = "tests/ops/test_init.py and tests/system/test_init.py make projects of it"
EXCEPTIONS: dict[str, str] = {
    "chat/app.py": CHAT,
    "chat/names.py": CHAT,
    "chat/servers/chat/handler/chat_handler.py": CHAT,
    "chat/servers/chat/remote/chat_remote.py": CHAT,
    "chat/servers/connector/handler/entry_handler.py": CHAT,
    "chat/servers/gate/handler/gate_handler.py": CHAT,
    "ops/scaffold/chat/tests/test_chat.py": SCAFFOLD,
    "ops/scaffold/entry/app.py": SCAFFOLD,
    "ops/scaffold/entry/servers/connector/handler/entry_handler.py": SCAFFOLD,
    "ops/scaffold/entry/tests/test_entry.py": SCAFFOLD,
}
"""Source file (relative to the package) to the reason why it has no test file of its own."""


def test_every_source_file_has_its_test_file() -> None:
    missing = []
    for path in modules().values():
        source = path.relative_to(PACKAGE)
        test = ROOT / "tests" / source.with_name(f"test_{source.name}")
        if source.name != "__init__.py" and str(source) not in EXCEPTIONS and not test.exists():
            missing.append(f"zchat/{source} has no {test.relative_to(ROOT)}")
    assert not missing, "\n".join(missing)


def test_exceptions_exist_and_have_a_reason() -> None:
    assert [
        name for name, why in EXCEPTIONS.items() if not why or not (PACKAGE / name).exists()
    ] == []
