"""The buffer between a source that blocks and a reader that is now faster, now slower."""

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from projectw_runner.failures import JobFailure
from projectw_runner.media.ahead import ReadAhead, RecordingClosed

WHOLE = random.Random(5).randbytes(400_000)


class Source:
    """Gives ``data`` in uneven pieces, then ends, raises, or blocks until it is interrupted."""

    def __init__(
        self, data: bytes = b"", *, failure: Exception | None = None, blocks: bool = False, capacity: int = 0
    ) -> None:
        self.given = 0
        self.taken = 0
        """What a test has read, for the source to see that nobody asks for more than fits."""
        self.interrupted = threading.Event()
        self.asked_in_vain = threading.Event()
        self._data = data
        self._failure = failure
        self._blocks = blocks
        self._capacity = capacity
        self._random = random.Random(3)

    def read(self, most: int) -> bytes:
        if self._capacity:
            assert self.given + most <= self.taken + self._capacity
        piece = self._data[self.given :][: self._random.randint(1, most)]
        self.given += len(piece)
        if not piece and self._blocks:
            self.asked_in_vain.set()
            assert self.interrupted.wait(30)
        if not piece and self._failure:
            raise self._failure
        return piece


Opened = list[ReadAhead]


@pytest.fixture
def opened() -> Iterator[Opened]:
    """Close what a test opens, and see that nothing of it goes on."""
    opened: Opened = []
    yield opened
    for ahead in opened:
        ahead.close()
    assert not threads()


def threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name.startswith("read-ahead")]


def open_ahead(opened: Opened, source: Source, *, capacity: int = 200_000) -> ReadAhead:
    ahead = ReadAhead(source.read, source.interrupted.set, capacity=capacity)
    opened.append(ahead)
    return ahead


def until_given(source: Source, count: int) -> None:
    deadline = time.monotonic() + 30
    while source.given < count:
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.mark.parametrize("capacity", [10, 1_000, 70_000, 1_000_000])
def test_what_comes_out_is_what_went_in(opened: Opened, capacity: int) -> None:
    ahead = open_ahead(opened, Source(WHOLE[:40_000]), capacity=capacity)
    counts = random.Random(1)
    whole = bytearray()
    while piece := ahead.read(counts.randint(1, 5_000)):
        whole += piece
    assert whole == WHOLE[:40_000]
    assert ahead.read(1) == b""


def test_only_the_last_read_is_short(opened: Opened) -> None:
    ahead = open_ahead(opened, Source(WHOLE))
    assert [len(ahead.read(150_000)) for _ in range(4)] == [150_000, 150_000, 100_000, 0]


def test_more_can_be_read_at_once_than_is_ever_held(opened: Opened) -> None:
    assert open_ahead(opened, Source(WHOLE), capacity=70_000).read(1_000_000) == WHOLE


def test_the_source_is_read_before_anybody_asks_and_never_further_than_the_capacity(opened: Opened) -> None:
    source = Source(WHOLE, capacity=200_000)
    ahead = open_ahead(opened, source)
    until_given(source, 200_000 - 65_536)
    while source.taken < len(WHOLE):
        source.taken += 1_000  # at most: the buffer has room once the read below is done
        assert len(ahead.read(1_000)) == 1_000
    assert not ahead.read(1)


def test_what_the_source_raises_comes_where_its_bytes_end_and_comes_again(opened: Opened) -> None:
    source = Source(WHOLE, failure=JobFailure("media-limits", "no more"))
    ahead = open_ahead(opened, source, capacity=1_000_000)
    until_given(source, len(WHOLE))
    assert ahead.read(len(WHOLE)) == WHOLE
    for _ in range(2):
        with pytest.raises(JobFailure, match="no more"):
            ahead.read(1)


def test_an_error_that_nobody_expects_reaches_the_reader_too(opened: Opened) -> None:
    with pytest.raises(ZeroDivisionError):
        open_ahead(opened, Source(failure=ZeroDivisionError())).read(1)


def test_closing_ends_a_blocked_read_and_interrupts_the_source(opened: Opened) -> None:
    source = Source(WHOLE, blocks=True, failure=JobFailure("media-limits", "killed"))
    ahead = open_ahead(opened, source)
    with ThreadPoolExecutor(1) as reader:
        reading = reader.submit(ahead.read, len(WHOLE) + 1)
        assert source.asked_in_vain.wait(30)
        ahead.close()
        with pytest.raises(RecordingClosed):
            reading.result(30)
    assert source.interrupted.is_set()
    assert not threads()


def test_closing_ends_the_wait_for_room(opened: Opened) -> None:
    source = Source(WHOLE, capacity=100_000)
    ahead = open_ahead(opened, source, capacity=100_000)
    until_given(source, 100_000 - 65_536)
    assert threads()
    ahead.close()
    assert not threads()
    assert source.given <= 100_000


def test_nothing_is_read_after_closing_although_it_is_there(opened: Opened) -> None:
    source = Source(WHOLE)
    ahead = open_ahead(opened, source)
    until_given(source, 10_000)
    ahead.close()
    with pytest.raises(RecordingClosed):
        ahead.read(10)


def test_several_may_close(opened: Opened) -> None:
    ahead = open_ahead(opened, Source(WHOLE, blocks=True))
    with ThreadPoolExecutor(4) as closing:
        for each in [closing.submit(ahead.close) for _ in range(4)]:
            each.result(30)
    assert not threads()


@pytest.mark.parametrize("source", [Source(WHOLE, capacity=100_000), Source(blocks=True)])
def test_neither_waiting_takes_processor_time(opened: Opened, source: Source) -> None:
    """A full buffer or a source that blocks: the time that passes is the thing."""
    open_ahead(opened, source, capacity=100_000)
    before = time.process_time()
    time.sleep(0.3)
    assert time.process_time() - before < 0.15
