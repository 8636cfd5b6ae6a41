"""The frame codec: any cut gives the same, nothing raises, nothing grows past the limit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.frontend.wire import masked
from zchat.frontend.sockets import frames
from zchat.frontend.sockets.frames import (
    BAD_TEXT,
    BINARY,
    BROKEN_FRAME,
    CLOSE,
    CONTINUATION,
    NO_CODE,
    PING,
    PONG,
    TEXT,
    TOO_BIG,
    FrameError,
    FrameParser,
    close_frame,
    frame,
    python_mask,
    read_close,
)

LIMIT = 1000
FIRST_TEXT, FIRST_BINARY, MIDDLE, LAST = 0x01, 0x02, 0x00, 0x80


def received(data: bytes, *, limit: int = LIMIT, step: int = 0) -> list[tuple[int, bytes]]:
    """What a parser makes of `data`, in pieces of `step` bytes; it must not fail."""
    parser = FrameParser(limit)
    result = feed(parser, data, step)
    assert parser.failure is None
    return result


def failure(data: bytes, *, limit: int = LIMIT, step: int = 0) -> tuple[int, int]:
    """The close code, and how many frames came before it."""
    parser = FrameParser(limit)
    before = feed(parser, data, step)
    assert parser.failure is not None, before
    return parser.failure.code, len(before)


def feed(parser: FrameParser, data: bytes, step: int = 0) -> list[tuple[int, bytes]]:
    step = step or max(1, len(data))
    result: list[tuple[int, bytes]] = []
    for start in range(0, len(data), step):
        result += parser.receive(data[start : start + step])
    return result


def held(parser: FrameParser) -> int:
    """Bytes that the parser keeps."""
    message = parser._message
    return len(parser._buffer) + (0 if message is None else len(message.data))


# Building


@pytest.mark.parametrize(
    ("length", "header"),
    [
        (0, "8200"),
        (125, "827d"),
        (126, "827e007e"),
        (65535, "827effff"),
        (65536, "827f0000000000010000"),
    ],
)
def test_a_frame_has_the_shortest_header_for_its_length(length: int, header: str) -> None:
    payload = b"x" * length
    assert frame(payload) == bytes.fromhex(header) + payload


def test_the_opcode_can_be_chosen() -> None:
    assert frame(b"hi", TEXT) == b"\x81\x02hi"
    assert frame(b"hi" * 100, TEXT)[:4] == b"\x81\x7e\x00\xc8"
    assert frame(b"", PONG) == b"\x8a\x00"


def test_a_control_frame_is_at_most_125_bytes_long() -> None:
    assert len(frame(b"x" * 125, PING)) == 127
    with pytest.raises(ValueError, match="at most 125 bytes, not 126"):
        frame(b"x" * 126, PING)


def test_a_close_frame_holds_code_and_reason() -> None:
    assert close_frame(1000) == b"\x88\x02\x03\xe8"
    assert close_frame(4002, "slow") == b"\x88\x06\x0f\xa2slow"
    assert close_frame(NO_CODE, "dropped") == b"\x88\x00"


@pytest.mark.parametrize("character", ["x", "é", "€", "😀"])
def test_a_long_reason_is_cut_between_characters(character: str) -> None:
    payload = close_frame(1000, character * 200)[2:]
    code, reason = read_close(payload)
    assert (code, set(reason)) == (1000, {character})
    assert 125 - len(character.encode()) < len(payload) <= 125


def test_a_reason_with_half_a_surrogate_pair_can_be_sent() -> None:
    assert read_close(close_frame(1000, "a\ud800b")[2:]) == (1000, "a?b")


# Close payloads


@pytest.mark.parametrize("code", [1000, 1003, 1007, 1011, 1012, 1014, 3000, 4999])
def test_valid_close_codes(code: int) -> None:
    assert read_close(code.to_bytes(2, "big") + b"why") == (code, "why")


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535])
def test_close_codes_that_must_not_be_sent(code: int) -> None:
    with pytest.raises(FrameError) as error:
        read_close(code.to_bytes(2, "big"))
    assert error.value.code == BROKEN_FRAME


def test_close_payloads_at_their_edges() -> None:
    assert read_close(b"") == (NO_CODE, "")
    with pytest.raises(FrameError) as half:
        read_close(b"\x03")
    assert half.value.code == BROKEN_FRAME
    with pytest.raises(FrameError) as text:
        read_close(b"\x03\xe8\xff")
    assert text.value.code == BAD_TEXT


# Reading what is good


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 999, 1000])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("step", [0, 1, 7])
def test_a_whole_message(length: int, opcode: int, step: int) -> None:
    payload = bytes(range(97, 123)) * 40
    data = masked(payload[:length], opcode)
    assert received(data, step=step) == [(opcode, payload[:length])]


def test_a_length_may_be_written_longer_than_needed() -> None:
    key = bytes(4)
    assert received(b"\x82\xfe\x00\x02" + key + b"hi") == [(BINARY, b"hi")]
    assert received(b"\x82\xff" + (2).to_bytes(8, "big") + key + b"hi") == [(BINARY, b"hi")]


@pytest.mark.parametrize("step", [0, 1, 2, 3, 5])
def test_fragments_with_control_frames_between_them(step: int) -> None:
    data = (
        masked("grü".encode()[:3], first=FIRST_TEXT)  # cut within a character
        + masked(b"p", PING)
        + masked("grü".encode()[3:], first=MIDDLE)
        + masked(b"", first=MIDDLE)
        + masked(b"q", PONG)
        + masked(b"", first=LAST)
        + masked(b"next")
    )
    assert received(data, step=step) == [
        (PING, b"p"),
        (PONG, b"q"),
        (TEXT, "grü".encode()),
        (BINARY, b"next"),
    ]


@pytest.mark.parametrize("step", [0, 1])
def test_empty_fragments_make_an_empty_message(step: int) -> None:
    data = masked(b"", first=FIRST_BINARY) + masked(b"", first=LAST)
    assert received(data, step=step) == [(BINARY, b"")]


def test_nothing_is_read_after_a_close_frame() -> None:
    parser = FrameParser(LIMIT)
    close = masked(b"\x03\xe8bye", CLOSE)
    assert parser.receive(close + masked(b"late") + b"\xff") == [(CLOSE, b"\x03\xe8bye")]
    assert parser.receive(masked(b"later")) == []
    assert parser.receive(b"\xff\xff") == []
    assert parser.failure is None
    assert held(parser) == 0


# Reading what is bad


@pytest.mark.parametrize("step", [0, 1])
@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x82\x00\x00\x00\x00\x00", BROKEN_FRAME),  # not masked
        (b"\x82\x02hi\x00\x00", BROKEN_FRAME),
        (masked(b"", first=0xC2), BROKEN_FRAME),  # RSV1
        (masked(b"", first=0xA2), BROKEN_FRAME),
        (masked(b"", first=0x92), BROKEN_FRAME),
        *((masked(b"", first=0x80 | opcode), BROKEN_FRAME) for opcode in (3, 7, 0xB, 0xF)),
        (masked(b"", first=LAST), BROKEN_FRAME),  # continuation of nothing
        (masked(b"a", first=FIRST_TEXT) + masked(b"b", TEXT), BROKEN_FRAME),
        (masked(b"", first=0x09), BROKEN_FRAME),  # fragmented ping
        (masked(b"x" * 126, PING), BROKEN_FRAME),
        (masked(b"\x03", CLOSE), BROKEN_FRAME),
        (masked(b"\x03\xed", CLOSE), BROKEN_FRAME),  # 1005
        (masked(b"\x03\xe8\xff", CLOSE), BAD_TEXT),
        (masked(b"\xff", TEXT), BAD_TEXT),
        (masked(b"\xed\xa0\x80", TEXT), BAD_TEXT),  # a surrogate
        (masked(b"\xe2\x82", TEXT), BAD_TEXT),  # ends within a character
        (masked(b"\xe2", first=FIRST_TEXT) + masked(b"\x82", first=LAST), BAD_TEXT),
        (masked(b"x" * (LIMIT + 1)), TOO_BIG),
        (masked(b"x" * LIMIT, first=FIRST_BINARY) + masked(b"x", first=LAST), TOO_BIG),
        (b"\x82\xff" + b"\xff" * 8 + bytes(4), TOO_BIG),
    ],
)
def test_broken_frames(data: bytes, code: int, step: int) -> None:
    assert failure(masked(b"ok") + data + masked(b"late"), step=step) == (code, 1)


def test_a_failed_parser_stays_failed_and_holds_nothing() -> None:
    parser = FrameParser(LIMIT)
    assert parser.receive(masked(b"a", first=FIRST_TEXT) + b"\xff") == []
    parser.receive(b"\xff")
    first = parser.failure
    assert parser.receive(masked(b"good")) == []
    assert parser.failure is first
    assert held(parser) == 0


def test_a_message_too_long_is_refused_at_its_header() -> None:
    header = masked(b"x" * 5000)[:8]
    assert failure(header) == (TOO_BIG, 0)


def test_bad_text_is_refused_before_the_frame_is_complete() -> None:
    data = masked(b"good so far \xf4\x90" + b"x" * 500, TEXT)
    parser = FrameParser(LIMIT)
    feed(parser, data[:21], 1)  # header, 12 good bytes, and the first of the bad ones
    assert parser.failure is None or parser.failure.code == BAD_TEXT
    feed(parser, data[21:22], 1)
    assert parser.failure is not None
    assert parser.failure.code == BAD_TEXT


# Properties

control = st.tuples(st.sampled_from([PING, PONG]), st.binary(max_size=125))
message = st.one_of(
    st.tuples(st.just(BINARY), st.binary(max_size=300)),
    st.tuples(st.just(TEXT), st.text(max_size=100).map(str.encode)),
)


@st.composite
def traffic(draw: st.DrawFn) -> tuple[bytes, list[tuple[int, bytes]]]:
    """Bytes of a well-behaved client, and what they mean."""
    data = b""
    meaning: list[tuple[int, bytes]] = []
    for _ in range(draw(st.integers(0, 5))):
        opcode, payload = draw(message)
        cuts = sorted(draw(st.lists(st.integers(0, len(payload)), max_size=3)))
        pieces = [payload[a:b] for a, b in zip([0, *cuts], [*cuts, len(payload)], strict=True)]
        for index, piece in enumerate(pieces):
            last = 0x80 if index == len(pieces) - 1 else 0
            data += masked(piece, first=last | (CONTINUATION if index else opcode))
            if not last and draw(st.booleans()):
                meaning.append(draw(control))
                data += masked(meaning[-1][1], meaning[-1][0])
        meaning.append((opcode, payload))
    return data, meaning


@given(traffic(), st.lists(st.integers(1, 40), min_size=1, max_size=20))
def test_any_cut_gives_the_same_frames(
    sent: tuple[bytes, list[tuple[int, bytes]]], steps: list[int]
) -> None:
    data, meaning = sent
    parser = FrameParser(LIMIT)
    result: list[tuple[int, bytes]] = []
    position = 0
    while position < len(data):
        step = steps[len(result) % len(steps)]
        result += parser.receive(data[position : position + step])
        position += step
    assert parser.failure is None
    assert result == meaning
    assert held(parser) == 0


@given(st.lists(st.binary(max_size=200), max_size=10), st.integers(0, 300))
def test_no_bytes_make_it_raise_or_hold_more_than_its_limit(
    chunks: list[bytes], limit: int
) -> None:
    parser = FrameParser(limit)
    for chunk in chunks:
        for opcode, payload in parser.receive(chunk):
            assert opcode in (TEXT, BINARY, CLOSE, PING, PONG)
            assert len(payload) <= max(limit, 125)
        assert held(parser) <= limit + 131


@given(st.binary(max_size=60), st.data())
def test_a_flipped_bit_never_raises(payload: bytes, draw: st.DataObject) -> None:
    data = bytearray(masked(payload) + masked(payload, PING) + masked(payload, first=FIRST_BINARY))
    position = draw.draw(st.integers(0, len(data) - 1))
    data[position] ^= 1 << draw.draw(st.integers(0, 7))
    parser = FrameParser(LIMIT)
    parser.receive(bytes(data))
    assert held(parser) <= LIMIT + 131


@given(st.binary(max_size=100))
def test_what_frame_builds_can_be_read_back(payload: bytes) -> None:
    built = frame(payload)
    as_client = built[:1] + bytes((built[1] | 0x80,)) + bytes(4) + built[2:]
    assert received(as_client) == [(BINARY, payload)]


@given(st.binary(min_size=4, max_size=4), st.binary(max_size=200))
def test_both_maskings_are_the_same(key: bytes, data: bytes) -> None:
    expected = bytes(byte ^ key[index % 4] for index, byte in enumerate(data))
    assert python_mask(key, data) == frames.mask(key, data) == expected
