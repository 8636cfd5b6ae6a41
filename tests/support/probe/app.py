"""The probe application: `about.apps` of tests/vectors/transcripts.json, as far as zchat has it."""

from typing import Any

from zchat import Application, Handshake, RequestError

app = Application(__file__)
app.watch("gate", "connector")


@app.check_client
def is_young(client_type: str | None, version: str | None) -> bool:
    """Whether clients of that type are let in."""
    return client_type != "old"


def greet(handshake: Handshake) -> dict[str, Any] | None:
    """What the client is told, if it said anything."""
    user = handshake.user
    if isinstance(user, dict) and user.get("bad"):
        raise RequestError("told to refuse")
    return None if user is None else {"hello": user}


def at_connectors(here: Application) -> None:
    here.authenticate(greet)


app.configure(at_connectors, types=("connector",))


def at_plain(here: Application) -> None:
    here.handshake(heartbeat=0, dictionary=False, protos=False)
    here.single_session("refuse")


app.configure(at_plain, types=("plain",))


def at_gates(here: Application) -> None:
    here.handshake(heartbeat=0, dictionary=False)


app.configure(at_gates, types=("gate",))
