import threading
from types import SimpleNamespace
from typing import Any

import pytest

from projectw_tui import keyrings
from projectw_tui.keyrings import SystemKeyring


class Backend:
    """A keyring backend in memory."""

    priority = 5.0

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}
        self.calls = 0

    def get_password(self, service: str, name: str) -> str | None:
        self.calls += 1
        return self.kept.get((service, name))

    def set_password(self, service: str, name: str, secret: str) -> None:
        self.kept[service, name] = secret

    def delete_password(self, service: str, name: str) -> None:
        del self.kept[service, name]


def use(monkeypatch: pytest.MonkeyPatch, backend: Any) -> None:
    module = SimpleNamespace(get_keyring=lambda: backend)
    monkeypatch.setattr(keyrings.importlib, "import_module", lambda _name: module)


def test_a_good_keyring_keeps_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, Backend())
    keyring = SystemKeyring()
    assert keyring.save("https://a", "secret")
    assert keyring.load("https://a") == (True, "secret")
    assert keyring.load("https://b") == (True, None)
    assert keyring.forget("https://a")
    assert keyring.load("https://a") == (True, None)


@pytest.mark.parametrize("priority", [0, 0.5, -1])
def test_a_backend_that_its_authors_do_not_recommend_is_not_used(
    monkeypatch: pytest.MonkeyPatch, priority: float
) -> None:
    backend = Backend()
    backend.priority = priority
    use(monkeypatch, backend)
    assert not SystemKeyring().save("name", "secret")
    assert not backend.kept


def test_a_keyring_that_forgets_at_once_has_not_kept_it(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = Backend()
    backend.set_password = lambda *_: None  # type: ignore[method-assign]
    use(monkeypatch, backend)
    assert not SystemKeyring().save("name", "secret")


def test_a_keyring_that_asks_the_person_is_given_up_and_not_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answered = threading.Event()
    backend = Backend()
    asked: list[str] = []

    def prompt(_service: str, name: str) -> None:
        asked.append(name)
        answered.wait()

    backend.get_password = prompt  # type: ignore[method-assign,assignment]
    use(monkeypatch, backend)
    keyring = SystemKeyring(time_limit=0.05)
    try:
        assert keyring.load("first") == (False, None)
        assert keyring.load("second") == (False, None)
        assert asked == ["first"]
    finally:
        answered.set()


def test_a_missing_keyring_package_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(keyrings.importlib, "import_module", absent)
    assert SystemKeyring().load("name") == (False, None)
