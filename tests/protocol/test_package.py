from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.protocol.vectors import Case, case_bytes, cases, identity, octets
from zchat.errors import ProtocolError
from zchat.protocol.package import (
    DATA,
    HEARTBEAT,
    KICK,
    MAX_BODY,
    Package,
    PackageDecoder,
    PackageTooBig,
    PackageType,
    decode,
    encode,
)

# Where we differ from the reference, and what we do instead (pomelo wire 22.1, 22.4).
ENCODE_REFUSED = {
    "dev-package-023": "type 6 does not exist",
    "dev-package-024": "type 0 does not exist",
    "dev-package-025": "type 260 is not masked to 4",
    "dev-package-026": "a body of 2^24 bytes would wrap the length",
}
DECODE_MALFORMED: dict[str, list[Package] | str] = {
    "dev-package-032": [],
    "dev-package-033": [Package(HEARTBEAT)],  # missing length bytes read as zero (wire 4.4)
    "dev-package-034": [Package(HEARTBEAT)],
    "dev-package-035": "DATA package of 256 bytes; 0 follow",  # not padded, no crash
    "dev-package-036": "DATA package of 10 bytes; 3 follow",  # no made-up zeros
    "dev-package-037": "package type 9",
    "dev-package-038": "package type 0",
    "dev-package-039": "package type 0",
    "dev-package-040": "package type 6",
    "dev-package-041": "package type 255",
    "dev-package-042": "DATA package of 16777215 bytes; 0 follow",  # nothing allocated
    "dev-package-043": "package type 71",
}


def expected(case: Case) -> list[Package]:
    return [Package(PackageType(item["type"]), octets(item["body"])) for item in case["packages"]]


@pytest.mark.parametrize("case", cases("package", "encode", "encode-overflow"), ids=identity)
def test_encode_as_the_reference(case: Case) -> None:
    package_type, body = case["input"]["type"], octets(case["input"]["body"])
    if case["id"] in ENCODE_REFUSED:
        with pytest.raises(ValueError, match=r"PackageType|16777215"):
            encode(package_type, body)
        return
    encoded = encode(package_type, body)
    assert encoded == case_bytes(case)
    assert decode(encoded) == [Package(package_type, body)]
    decoded = case["decoded"]
    assert decode(encoded) == [Package(decoded["type"], octets(decoded["body"]))]


@pytest.mark.parametrize("case", cases("package", "decode"), ids=identity)
def test_decode_several(case: Case) -> None:
    assert decode(case_bytes(case)) == expected(case)


@pytest.mark.parametrize("case", cases("package", "decode-malformed"), ids=identity)
def test_decode_malformed(case: Case) -> None:
    outcome = DECODE_MALFORMED[case["id"]]
    if isinstance(outcome, list):
        assert decode(case_bytes(case)) == outcome
        return
    with pytest.raises(ProtocolError, match=outcome):
        decode(case_bytes(case))


@pytest.mark.parametrize("case", cases("stream", "tcp"), ids=identity)
def test_stream_cut_anywhere(case: Case) -> None:
    lengths = case["chunk_lengths"]
    if isinstance(lengths, dict):
        lengths = [lengths["all"]] * lengths["count"]
    data, decoder = case_bytes(case), PackageDecoder()
    packages: list[Package] = []
    counts = []
    for length in lengths:
        if decoder.error is None:
            packages += decoder.feed(data[:length])
        data = data[length:]
        counts.append(len(packages))
    assert not data
    assert packages == expected(case)
    assert counts == case["packages_after_each_chunk"]
    assert (decoder.error is not None) == case["closed_by_server"]


@pytest.mark.parametrize("size", [0, 1, 99, 100])
def test_limit_counts_the_body(size: int) -> None:
    body = b"x" * size
    assert decode(encode(DATA, body), limit=100) == [Package(DATA, body)]
    assert PackageDecoder(100).feed(encode(DATA, body)) == [Package(DATA, body)]


def test_limit_exceeded() -> None:
    with pytest.raises(ProtocolError, match="DATA package of 101 bytes; the limit is 100"):
        decode(encode(DATA, b"x" * 101), limit=100)


def test_stream_breaks_at_the_header_of_a_body_beyond_the_limit() -> None:
    decoder = PackageDecoder(limit=100)
    assert decoder.feed(encode(HEARTBEAT) + b"\x04\x00\x00\x65") == [Package(HEARTBEAT)]
    assert "the limit is 100" in str(decoder.error)
    assert isinstance(decoder.error, PackageTooBig)


def test_broken_stream_refuses_more() -> None:
    decoder = PackageDecoder()
    assert decoder.feed(encode(HEARTBEAT) + b"\x09\0\0\0") == [Package(HEARTBEAT)]
    with pytest.raises(ProtocolError, match="package type 9"):
        decoder.feed(encode(HEARTBEAT))


def test_largest_body_of_a_stream() -> None:
    body = b"." * MAX_BODY
    decoder = PackageDecoder()
    encoded = encode(DATA, body)
    assert decoder.feed(encoded[:-1]) == []
    assert decoder.feed(encoded[-1:]) == [Package(DATA, body)]


anything = st.binary(max_size=64) | st.lists(
    st.tuples(st.integers(0, 7), st.integers(0, 12), st.binary(max_size=12)), max_size=6
).map(lambda items: b"".join(bytes((kind, 0, 0, size)) + body for kind, size, body in items))


@given(anything, st.integers(0, 20))
def test_decode_any_bytes(data: bytes, limit: int) -> None:
    try:
        packages = decode(data, limit)
    except ProtocolError:
        return
    whole = b"".join(encode(package.type, package.body) for package in packages)
    assert whole == data + b"\0" * (len(whole) - len(data))
    assert len(whole) - len(data) < 4
    assert all(len(package.body) <= limit for package in packages)


@given(anything, st.lists(st.integers(1, 9), min_size=1), st.integers(0, 20))
def test_stream_of_any_bytes_in_any_chunks(data: bytes, cuts: list[int], limit: int) -> None:
    at_once = PackageDecoder(limit)
    wanted = at_once.feed(data)
    decoder = PackageDecoder(limit)
    packages: list[Package] = []
    position = 0
    while position < len(data) and decoder.error is None:
        step = cuts[position % len(cuts)]
        packages += decoder.feed(data[position : position + step])
        assert len(decoder._buffer) <= limit + 4
        position += step
    assert packages == wanted
    assert str(decoder.error) == str(at_once.error)


@given(
    st.lists(st.tuples(st.sampled_from(PackageType), st.binary(max_size=300)), max_size=5),
)
def test_round_trip(items: list[tuple[PackageType, bytes]]) -> None:
    packages = [Package(kind, body) for kind, body in items]
    data = b"".join(encode(kind, body) for kind, body in items)
    assert decode(data) == packages
    assert PackageDecoder().feed(data) == packages


def test_kick_is_a_package_for_the_framing() -> None:
    assert decode(bytes.fromhex("050000027b7d")) == [Package(KICK, b"{}")]
