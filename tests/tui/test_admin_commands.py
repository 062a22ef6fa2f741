import json

import pytest

from projectw_shared.accounts import Quota
from projectw_shared.ids import new_id
from projectw_shared.jobs import JobState
from projectw_shared.messages import RunnerRef
from projectw_tui.cli.tables import table
from projectw_tui.quotas import number_of_bytes

from .commands import Ended, projectw
from .fake_accounts import FakeUser
from .fake_server import EMAIL, HOSTILE_NAMES, FakeServer

EVE = "eve@example.org"


@pytest.fixture
def root(server: FakeServer) -> FakeServer:
    """A server at which one is an admin, with a second account."""
    server.accounts.ada.is_admin = True
    server.accounts.users.append(FakeUser(EVE))
    return server


def eve(server: FakeServer) -> FakeUser:
    return next(user for user in server.accounts.users if user.email == EVE)


@pytest.mark.parametrize("command", ["users", "runners", "jobs", "audit"])
async def test_nobody_else_may(server: FakeServer, command: str) -> None:
    ended = await projectw("admin", command)
    assert (ended.code, ended.out) == (77, "")
    assert "Only an admin" in ended.err


# --- users --------------------------------------------------------------------------------------------------


async def test_users_are_listed_and_searched(root: FakeServer) -> None:
    eve(root).quota, eve(root).disabled = Quota(bytes=10**9), True
    people = await projectw("admin", "users")
    assert EMAIL in people.out and "of 1.0 GB" in people.out and "disabled" in people.out
    found = json.loads((await projectw("admin", "users", "eve", "--json")).out)
    assert [user["email"] for user in found] == [EVE]
    assert (await projectw("admin", "users", "nobody")).out == ""


async def test_a_list_longer_than_a_page_is_read_to_its_limit(root: FakeServer) -> None:
    root.accounts.users += [FakeUser(f"user{n}@example.org") for n in range(450)]
    found = json.loads((await projectw("admin", "users", "--json", "--limit", "420")).out)
    assert len({user["id"] for user in found}) == 420


async def test_an_account_is_made_and_its_id_printed(root: FakeServer) -> None:
    ended = await projectw(
        "admin", "user", "add", "new@example.org", "--admin", "--password-stdin", stdin=b"a fine password\n"
    )
    made = root.accounts.users[-1]
    assert ended == Ended(0, f"{made.id}\n", "")
    assert (made.email, made.is_admin) == ("new@example.org", True)


async def test_disabling_asks_and_enabling_does_not(root: FakeServer) -> None:
    asked = await projectw("admin", "user", "disable", EVE)
    assert (asked.code, eve(root).disabled) == (2, False)
    assert "--yes" in asked.err
    assert (await projectw("admin", "user", "disable", EVE, "--yes")).code == 0
    assert eve(root).disabled
    assert (await projectw("admin", "user", "enable", eve(root).id[-12:])).code == 0
    assert not eve(root).disabled


async def test_admins_are_made_and_unmade(root: FakeServer) -> None:
    assert (await projectw("admin", "user", "promote", EVE)).code == 2
    assert (await projectw("admin", "user", "promote", EVE.upper(), "--yes")).code == 0
    assert eve(root).is_admin
    assert (await projectw("admin", "user", "demote", EVE, "--yes")).code == 0
    assert not eve(root).is_admin


async def test_only_the_whole_address_names_an_account(root: FakeServer) -> None:
    root.accounts.users.append(FakeUser(f"st{EVE}"))
    assert (await projectw("admin", "user", "disable", "ve@example.org", "--yes")).code == 1
    assert (await projectw("admin", "user", "disable", EVE, "--yes")).code == 0
    assert [user.email for user in root.accounts.users if user.disabled] == [EVE]


async def test_somebodys_password_is_set(root: FakeServer) -> None:
    ended = await projectw(
        "admin", "user", "reset-password", EVE, "--password-stdin", stdin=b"a fine password\n"
    )
    assert (ended.code, eve(root).password) == (0, "a fine password")


async def test_a_quota_is_set_bound_by_bound_and_reset(root: FakeServer) -> None:
    quota = ["admin", "user", "quota", EVE]
    told = await projectw(*quota, "--storage", "20G", "--audio-hours", "10")
    assert (
        told.err == f"{EVE} may use: audio up to 10:00:00, storage up to 20 GB, waiting jobs without bound.\n"
    )
    assert (await projectw(*quota, "--jobs", "5", "--audio-hours", "none")).code == 0
    assert eve(root).quota == Quota(None, 20 * 10**9, 5)
    assert (await projectw(*quota, "--storage", "much")).code == 2
    assert (await projectw(*quota)).code == 2
    assert (await projectw(*quota, "--reset", "--jobs", "1")).code == 2
    assert (await projectw(*quota, "--reset")).code == 0
    assert not eve(root).has_own_quota


def test_sizes_are_read_with_decimal_units() -> None:
    assert [number_of_bytes(text) for text in ("500M", "1.5 GB", "12", "none")] == [
        500_000_000, 1_500_000_000, 12, None,
    ]  # fmt: skip


async def test_an_account_is_deleted_only_when_that_is_meant(root: FakeServer) -> None:
    assert (await projectw("admin", "user", "delete", EVE)).code == 2
    assert (await projectw("admin", "user", "delete", EVE, "--yes")).code == 0
    assert [user.email for user in root.accounts.users] == [EMAIL]


# --- runners ------------------------------------------------------------------------------------------------


async def test_runners_are_listed(root: FakeServer) -> None:
    root.admin.add_runner(name="gpu-1", job=new_id())
    root.admin.add_runner(name="gpu-2", cordoned=True, cordon_reason="5 jobs failed in a row")
    people = await projectw("admin", "runners")
    for words in ("working", "cordoned", "5 jobs failed in a row", "NVIDIA H100"):
        assert words in people.out
    assert len(json.loads((await projectw("admin", "runners", "--json")).out)) == 2


async def test_a_new_runners_token_stands_alone_on_stdout(root: FakeServer) -> None:
    ended = await projectw("admin", "runner", "create", "gpu-3")
    assert (ended.code, ended.out) == (0, "pwr_the-token\n")
    assert "not shown again" in ended.err


async def test_a_runner_is_cordoned_drained_and_revoked_by_name_or_id(root: FakeServer) -> None:
    made = root.admin.add_runner(name="gpu-1")
    assert (await projectw("admin", "runner", "cordon", "gpu-1")).code == 0
    assert root.admin.runners[0].cordoned
    assert (await projectw("admin", "runner", "uncordon", made.id[-12:])).code == 0
    assert not root.admin.runners[0].cordoned
    assert (await projectw("admin", "runner", "drain", "gpu-1")).code == 2
    assert (await projectw("admin", "runner", "drain", "gpu-1", "--yes")).code == 0
    assert root.admin.runners[0].draining
    assert (await projectw("admin", "runner", "revoke", "gpu-1")).code == 2
    assert (await projectw("admin", "runner", "revoke", "gpu-1", "--yes")).code == 0
    assert not root.admin.runners
    assert (await projectw("admin", "runner", "cordon", "gpu-1")).code == 1


# --- jobs and the log ---------------------------------------------------------------------------------------


async def test_everybodys_jobs_are_listed(root: FakeServer) -> None:
    root.add(file_name="talk.wav", state=JobState.FAILED, runner=RunnerRef("1", "gpu-1", "0"))
    root.add(file_name="other.wav")
    people = await projectw("admin", "jobs")
    assert EMAIL in people.out and "gpu-1" in people.out
    found = json.loads((await projectw("admin", "jobs", "talk", "--state", "failed", "--json")).out)
    assert [job["file_name"] for job in found] == ["talk.wav"]


async def test_reading_somebodys_transcript_needs_a_reason_and_a_yes(root: FakeServer) -> None:
    job = root.add(state=JobState.SUCCEEDED)
    why = "The owner has asked for help"
    assert (await projectw("admin", "read", job.id, "--yes")).code == 2
    assert (await projectw("admin", "read", job.id, "--reason", "why not", "--yes")).code == 2
    assert (await projectw("admin", "read", job.id, "--reason", why)).code == 2
    assert (await projectw("admin", "read", "../../x", "--reason", why, "--yes")).code == 2
    assert not root.admin.disclosed
    ended = await projectw("admin", "read", job.id, "--reason", why, "--yes")
    assert ended == Ended(0, "What was said.\n", "")
    assert root.admin.disclosed == [(job.id, why)]


async def test_the_audit_log_is_listed_and_filtered(root: FakeServer) -> None:
    root.admin.add_entry(action="login")
    root.admin.add_entry(action="user-changed", details={"disabled": True, "note": "x\x1b[31m"}, number=None)
    people = await projectw("admin", "audit")
    assert "disabled=true" in people.out
    assert "\x1b" not in people.out
    found = json.loads((await projectw("admin", "audit", "--action", "login", "--json")).out)
    assert [entry["action"] for entry in found] == ["login"]


# --- what strangers have written ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", HOSTILE_NAMES)
async def test_foreign_text_is_harmless_in_every_list(root: FakeServer, name: str) -> None:
    root.accounts.users.append(FakeUser(f"{name}@example.org"))
    root.admin.add_runner(name=name, version=name, engine=name, device=name, cordon_reason=name)
    root.admin.add_entry(action=name, actor_kind=name, address=name, object_id=name, details={name: name})
    root.add(file_name=name)
    for command in ("users", "runners", "jobs", "audit"):
        ended = await projectw("admin", command)
        assert ended.code == 0
        assert all(line.isprintable() for line in ended.out.splitlines())


def test_a_table_fits_the_terminal_as_far_as_it_may() -> None:
    rows = [("a" * 40, "b" * 60), ("c", "d")]
    lines = table(("ONE", "TWO"), rows, 70, elastic=(1,))
    assert max(map(len, lines)) == 70
    assert all(line.startswith(("ONE", "a" * 40, "c")) for line in lines)
    assert max(map(len, table(("ONE", "TWO"), rows, None))) == 102
