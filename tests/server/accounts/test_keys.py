"""The keys that sign tokens: changed without signing anybody out, and at once when they must be."""

import os
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from projectw_server.accounts.keys import key_file, rotate, signing_keys
from projectw_server.accounts.signing import ACCESS, Claims, Signer
from projectw_server.settings import ServerSettings
from projectw_shared.config import ConfigError

CLAIMS = Claims("u", "s")


@pytest.fixture
def settings(tmp_path: Path) -> ServerSettings:
    return ServerSettings(data_dir=tmp_path)


def test_a_running_server_takes_a_new_key_over_and_still_knows_the_former_one(
    settings: ServerSettings,
) -> None:
    signer = Signer(signing_keys(settings))
    before = signer.sign(CLAIMS, ACCESS, 900)
    until = rotate(settings, now=time.time())
    assert until is not None
    assert until >= time.time() + settings.session_days * 86_400 - 5
    after = signer.sign(CLAIMS, ACCESS, 900)
    assert signer.read(before, ACCESS) == signer.read(after, ACCESS) == CLAIMS
    assert signing_keys(settings).current.id != signing_keys(settings).find(None, 0.0)[1].id
    fresh = Signer(signing_keys(settings))
    assert fresh.read(before, ACCESS) == CLAIMS


def test_a_former_key_ends_at_its_time(settings: ServerSettings) -> None:
    now = time.time()
    signer = Signer(signing_keys(settings), now=lambda: now)
    token = signer.sign(CLAIMS, ACCESS, 10**9)
    until = rotate(settings, now=now)
    assert until is not None
    later = Signer(signing_keys(settings), now=lambda: until + 1)
    assert signer.read(token, ACCESS) == CLAIMS
    assert later.read(token, ACCESS) is None


def test_at_once_nothing_of_the_former_keys_counts(settings: ServerSettings) -> None:
    signer = Signer(signing_keys(settings))
    token = signer.sign(CLAIMS, ACCESS, 900)
    rotate(settings, now=time.time())
    assert rotate(settings, now=time.time(), at_once=True) is None
    assert signer.read(token, ACCESS) is None
    assert len(key_file(settings).read_text().splitlines()) == 1


def test_keys_that_have_ended_are_forgotten_with_the_next_one(settings: ServerSettings) -> None:
    signing_keys(settings)
    for days in range(0, 100, 20):
        rotate(settings, now=time.time() + days * 86_400)
    assert len(key_file(settings).read_text().splitlines()) == 3, "two of the last 30 days and the one in use"


def test_a_slip_in_the_file_leaves_the_keys_as_they_were(settings: ServerSettings) -> None:
    keys = signing_keys(settings)
    signer = Signer(keys)
    token = signer.sign(CLAIMS, ACCESS, 900)
    key_file(settings).write_text("short\n")
    assert signer.read(token, ACCESS) == CLAIMS
    key_file(settings).unlink()
    assert signer.read(token, ACCESS) == CLAIMS


@pytest.mark.parametrize(
    "text",
    [
        "{key} until 2030-01-01T00:00:00Z\n",
        "{key}\n{key}x\n",
        "{key}\n{key}x until soon\n",
        "{key}\nshort until 2030-01-01T00:00:00Z\n",
    ],
)
def test_a_file_of_another_form_is_refused(settings: ServerSettings, text: str) -> None:
    key_file(settings).write_text(text.format(key="0123456789abcdef0123456789abcdef"))
    key_file(settings).chmod(0o600)
    with pytest.raises(ConfigError, match=r"server\.signing_key"):
        signing_keys(settings)


def test_a_key_in_the_configuration_cannot_be_rotated_by_a_program(settings: ServerSettings) -> None:
    with pytest.raises(ConfigError, match="signing_key_file"):
        rotate(replace(settings, signing_key="0123456789abcdef0123456789abcdef"), now=time.time())


def test_a_rotated_file_stays_its_owners_alone(settings: ServerSettings) -> None:
    signing_keys(settings)
    if os.geteuid() == 0:
        os.chown(key_file(settings), 65534, 65534)
    owner = key_file(settings).stat().st_uid
    rotate(settings, now=time.time())
    found = key_file(settings).stat()
    assert (found.st_mode & 0o777, found.st_uid) == (0o600, owner)
