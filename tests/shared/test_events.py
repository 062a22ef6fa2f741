"""Server-sent events, written and read."""

from collections.abc import AsyncIterator, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projectw_shared import events as module
from projectw_shared.errors import Unreachable
from projectw_shared.events import KEEP_ALIVE, EventName, ServerSentEvent, parse_events

events = st.builds(
    ServerSentEvent,
    name=st.sampled_from([str(name) for name in EventName]),
    data=st.sampled_from([b"{}", b'{"a":1}', b'{"text": "a: b"}', b" leading", b"\xc3\xa4"]),
    id=st.none() | st.integers(0, 2**63),
)


async def parsed(chunks: Iterable[bytes]) -> list[ServerSentEvent]:
    async def stream() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    return [event async for event in parse_events(stream())]


def test_an_event_on_the_wire_is_what_the_standard_says() -> None:
    assert ServerSentEvent("job", b"{}", 7).encode() == b"event: job\nid: 7\ndata: {}\n\n"
    assert ServerSentEvent("hello").encode() == b"event: hello\ndata: {}\n\n"


@given(st.lists(events, max_size=5), st.data())
async def test_events_survive_chunks_that_break_anywhere_and_comments_in_between(
    sent: list[ServerSentEvent], data: st.DataObject
) -> None:
    wire = KEEP_ALIVE.join([b"", *(event.encode() for event in sent), b""])
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=8)))
    pieces = [wire[start:end] for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
    assert await parsed(pieces) == sent


async def test_every_single_byte_may_come_alone() -> None:
    wire = ServerSentEvent("job", b'{"a": "\xc3\xa4"}', 3).encode()
    assert await parsed(bytes([byte]) for byte in wire) == [ServerSentEvent("job", b'{"a": "\xc3\xa4"}', 3)]


async def test_other_servers_spellings_are_read_too() -> None:
    wire = b": hi\r\nretry: 5\r\nevent:job\r\ndata:1\r\ndata: 2\r\nid: 12\r\nodd\r\n\r\ndata: x\n\n"
    assert await parsed([wire]) == [ServerSentEvent("job", b"1\n2", 12), ServerSentEvent("message", b"x")]


async def test_an_event_without_data_is_none_and_a_broken_id_is_no_change_number() -> None:
    assert await parsed([b"event: job\n\nid: x\ndata: 1\n\n"]) == [ServerSentEvent("message", b"1", None)]


async def test_what_is_cut_off_at_the_end_is_dropped() -> None:
    whole = ServerSentEvent("job", b"{}").encode()
    assert await parsed([whole, whole[:-1]]) == [ServerSentEvent("job", b"{}")]


async def test_bytes_of_an_evil_server_break_nothing() -> None:
    wire = b"event: \xff\ndata: 1\nid: " + b"9" * 5000 + b"\n\n"
    assert await parsed([wire]) == [ServerSentEvent("\N{REPLACEMENT CHARACTER}", b"1", None)]


@pytest.mark.parametrize("chunk", [b"x" * 100, b"data: x\n" * 50])
async def test_an_event_without_end_is_given_up(chunk: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_EVENT_BYTES", 1000)
    with pytest.raises(Unreachable, match="without end"):
        await parsed(chunk for _ in range(100))
