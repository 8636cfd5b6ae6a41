"""`zchat init`: a project folder that runs, to begin with.

It is made of what lies in `scaffold/`: `entry/` or, to start from the chat, `chat/` with a copy of
the chat that comes with zchat and its page. Files beside these two and `config/settings.toml` are
for both. In zchat's own sources `scaffold/config` and `scaffold/webroot` are links to its folders.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from zchat.errors import ConfigError

SCAFFOLD = Path(__file__).parent / "scaffold"
CHAT = Path(__file__).parents[1] / "chat"

PAGE = "http://127.0.0.1:3001"
"""Where a new project's page is."""

_NAME = "{name}"
_CHATS_PACKAGE = "zchat.chat."
_SETTINGS = {
    '#module = "zchat.chat.app"': 'module = "app"',
    '#listen = ""': 'listen = "127.0.0.1"',
}
"""What a new project's settings.toml says otherwise than the defaults."""

_LEFT_OUT = ("__pycache__", "__init__.py")


def create(folder: Path, *, chat: bool = False) -> list[str]:
    """Write a project's files into a folder, which is made if it is missing.

    Args:
        folder: its name becomes the project's.
        chat: start from the chat instead of one connector that answers.

    Returns:
        the files' names, relative to the folder.

    Raises:
        ConfigError: some of these files are there already, or a file is in the way of a folder;
            nothing was written.
        OSError: the folder cannot be written.
    """
    files = {name: _text(name, path, folder) for name, path in _sources(chat=chat)}
    _refuse_taken(folder, list(files))
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)
    return list(files)


def _sources(*, chat: bool) -> Iterator[tuple[str, Path]]:
    """Each file of a new project, with the one that it is made from."""
    yield "supervisord.conf", SCAFFOLD / "supervisord.conf"
    yield "pytest.ini", SCAFFOLD / "pytest.ini"
    yield ".gitignore", SCAFFOLD / "gitignore"
    yield "config/settings.toml", SCAFFOLD / "config" / "settings.toml"
    if chat:
        yield "config/servers.json", SCAFFOLD / "config" / "servers.json"
        yield from _files(SCAFFOLD / "chat")
        yield from _files(CHAT)
        for name, path in _files(SCAFFOLD / "webroot"):
            yield f"webroot/{name}", path
    else:
        yield from _files(SCAFFOLD / "entry")


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(part in _LEFT_OUT for part in path.parts):
            yield path.relative_to(folder).as_posix(), path


def _text(name: str, path: Path, folder: Path) -> bytes:
    """What a new file says, made from its source."""
    if name == "README.md":
        return path.read_text().replace(_NAME, folder.resolve().name).encode()
    if name == "config/settings.toml":
        return _settings(path.read_text()).encode()
    if path.is_relative_to(CHAT):  # the author's own copy imports itself
        return path.read_text().replace(_CHATS_PACKAGE, "").encode()
    return path.read_bytes()


def _settings(text: str) -> str:
    for default, own in _SETTINGS.items():
        assert text.count(default) == 1, f"settings.toml has no {default}"
        text = text.replace(default, own)
    return text


def _refuse_taken(folder: Path, names: list[str]) -> None:
    taken = [name for name in names if (folder / name).exists()]
    ways = {str(way) for name in names for way in Path(name).parents if (folder / way).exists()}
    taken += sorted(way for way in ways if not (folder / way).is_dir())
    if taken:
        shown = ", ".join(taken)
        raise ConfigError(f"{folder} has files of these names already: {shown}; nothing is written")
