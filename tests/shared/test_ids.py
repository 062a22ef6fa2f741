"""Identifiers that sort by time."""

import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from projectw_shared.ids import IdSource, is_id, new_id


def test_an_id_is_a_uuid_of_version_7_with_the_present_time() -> None:
    before = time.time_ns() // 1_000_000
    value = uuid.UUID(new_id())
    assert value.version == 7
    assert value.variant == uuid.RFC_4122
    assert before <= value.int >> 80 <= time.time_ns() // 1_000_000


def test_ids_sort_in_the_order_in_which_they_were_made_within_a_millisecond_too() -> None:
    ids = [new_id() for _ in range(10_000)]
    assert ids == sorted(set(ids))


def test_ids_go_on_growing_when_the_clock_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    source = IdSource()
    first = source.new()
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    assert source.new() > first


def test_threads_never_get_the_same_id() -> None:
    source = IdSource()
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda _: source.new(), range(4_000)))
    assert len(set(ids)) == len(ids)


def test_only_the_canonical_spelling_is_an_id() -> None:
    text = new_id()
    assert is_id(text)
    for other in (
        text.upper(),
        text.replace("-", ""),
        f"{{{text}}}",
        f"urn:uuid:{text}",
        "",
        "../etc",
        f"{text}\n",
    ):
        assert not is_id(other), other
