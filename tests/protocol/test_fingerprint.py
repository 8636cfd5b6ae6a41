from __future__ import annotations

from base64 import b64encode
from hashlib import md5

from zchat.protocol.fingerprint import fingerprint


def digest(text: str) -> str:
    return b64encode(md5(text.encode()).digest()).decode()


def test_the_digest_of_compact_json() -> None:
    assert fingerprint({"b": 1, "a": ["é", {}]}) == digest('{"b":1,"a":["é",{}]}')


def test_several_values_stand_one_behind_the_other() -> None:
    assert fingerprint({}, {"a": 1}) == digest('{}{"a":1}')


def test_members_stand_in_javascripts_order() -> None:
    value = {"x": {"b": 1, "10": 2, "9": 3}, "01": 1, "0": 2, "4294967295": 3, "4294967294": 4}
    inner = '{"9":3,"10":2,"b":1}'
    assert fingerprint(value) == digest(
        f'{{"0":2,"4294967294":4,"x":{inner},"01":1,"4294967295":3}}'
    )
