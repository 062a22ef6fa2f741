import asyncio

import pytest

from projectw_server.events import bus as bus_module
from projectw_server.events.bus import MAX_WAITING, Bus, Subscription
from projectw_shared.events import ServerSentEvent


def event(number: int | None = None, data: bytes = b"{}") -> ServerSentEvent:
    return ServerSentEvent("job", data, number)


async def drained(subscription: Subscription) -> list[ServerSentEvent]:
    subscription.close()
    return [each async for each in subscription]


async def test_every_stream_of_a_user_gets_every_event_and_nobody_else_s() -> None:
    bus = Bus()
    with bus.subscribe("ada") as one, bus.subscribe("ada") as two, bus.subscribe("bob") as other:
        bus.publish("ada", event(1))
        bus.publish("ada", event(2))
        assert [each.id for each in await drained(one)] == [1, 2]
        assert [each.id for each in await drained(two)] == [1, 2]
        assert await drained(other) == []


async def test_a_waiting_reader_is_woken() -> None:
    bus = Bus()
    with bus.subscribe("ada") as stream:
        reading = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        bus.publish("ada", event(7))
        assert (await asyncio.wait_for(reading, 10)).id == 7


async def test_momentary_news_replaces_its_own_kind_and_keeps_its_order() -> None:
    bus = Bus()
    with bus.subscribe("ada") as stream:
        bus.publish("ada", event(data=b"1"), stale_key="a")
        bus.publish("ada", event(data=b"2"), stale_key="b")
        bus.publish("ada", event(5, b"3"))
        bus.publish("ada", event(data=b"4"), stale_key="a")
        assert [each.data for each in await drained(stream)] == [b"2", b"3", b"4"]


async def test_momentary_news_can_be_dropped_and_durable_news_cannot() -> None:
    bus = Bus()
    with bus.subscribe("ada") as stream:
        bus.publish("ada", event(), stale_key="a")
        bus.publish("ada", event(1))
        stream.drop_momentary()
        assert [each.id for each in await drained(stream)] == [1]


async def test_a_reader_that_is_too_slow_is_ended_and_memory_stays_bounded() -> None:
    bus = Bus()
    with bus.subscribe("ada") as stream:
        for number in range(MAX_WAITING * 2):
            bus.publish("ada", event(number))
        got = [each.id async for each in stream]
    assert got == list(range(MAX_WAITING))


async def test_a_reader_that_is_too_slow_is_ended_by_bytes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus_module, "MAX_WAITING_BYTES", 100)
    bus = Bus()
    with bus.subscribe("ada") as stream:
        for number in range(10):
            bus.publish("ada", event(number, b"x" * 50))
        assert [each.id async for each in stream] == [0, 1]


async def test_bytes_that_were_read_or_replaced_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus_module, "MAX_WAITING_BYTES", 100)
    bus = Bus()
    with bus.subscribe("ada") as stream:
        for number in range(10):
            bus.publish("ada", event(number, b"x" * 50))
            assert (await anext(stream)).id == number
        for _ in range(10):
            bus.publish("ada", event(data=b"x" * 60), stale_key="a")
        stream.drop_momentary()
        bus.publish("ada", event(10, b"x" * 60))
        bus.publish("ada", event(11, b"x" * 60))
        assert [each.id for each in await drained(stream)] == [10, 11]


async def test_nothing_follows_what_a_slow_reader_was_not_given() -> None:
    bus = Bus()
    with bus.subscribe("ada") as stream:
        for number in range(MAX_WAITING + 1):
            bus.publish("ada", event(number))
        assert (await anext(stream)).id == 0
        bus.publish("ada", event(MAX_WAITING + 1))
        assert [each.id async for each in stream][-1] == MAX_WAITING - 1


async def test_progress_alone_never_ends_a_slow_reader() -> None:
    bus = Bus()
    with bus.subscribe("ada") as stream:
        for number in range(MAX_WAITING * 2):
            bus.publish("ada", event(data=b"%d" % number), stale_key="a")
        assert len(await drained(stream)) == 1


async def test_nobody_is_watched_after_the_last_stream_has_ended() -> None:
    bus = Bus()
    assert not bus.is_watched("ada")
    with bus.subscribe("ada"):
        with bus.subscribe("ada"):
            pass
        assert bus.is_watched("ada")
    assert not bus.is_watched("ada")
    bus.publish("ada", event(1))
    assert not bus.is_watched("ada")


async def test_closing_ends_every_stream_after_what_waits() -> None:
    bus = Bus()
    with bus.subscribe("ada") as one, bus.subscribe("bob") as two:
        bus.publish("ada", event(1))
        bus.close()
        assert [each.id async for each in one] == [1]
        with pytest.raises(StopAsyncIteration):
            await anext(two)
