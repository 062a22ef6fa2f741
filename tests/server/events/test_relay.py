import msgspec

from projectw_server.events.relay import MAX_PAYLOAD_BYTES, Envelope, payloads
from projectw_server.events.signals import Progressed, Queued


def test_signals_are_sent_in_as_few_notifications_as_hold_them() -> None:
    signals = [Progressed("o" * 36, f"{n:036}", 1, 0.5) for n in range(200)]
    texts = payloads("sender", [*signals, Queued("*")])
    assert all(len(text.encode()) <= MAX_PAYLOAD_BYTES for text in texts)
    assert len(texts) <= 4
    found = [signal for text in texts for signal in msgspec.json.decode(text, type=Envelope).signals]
    assert found == [*signals, Queued("*")]
