"""What an operator should know when a runner does not work: each thing looked at, and how to mend it."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import msgspec

from projectw_runner.checkpoints import CheckpointStore
from projectw_runner.engines import hardware
from projectw_runner.failures import JobFailure
from projectw_runner.media import Protections, find_confinement, find_ffmpeg
from projectw_runner.program import connect, make_engine, open_work_dir
from projectw_runner.settings import RunnerSettings
from projectw_shared import __version__, routes
from projectw_shared.config import ConfigError
from projectw_shared.errors import Forbidden, ProjectWError, Unauthorized, Unreachable
from projectw_shared.exits import Exit, exit_code
from projectw_shared.findings import Finding, fail, ok, warn
from projectw_shared.http import Api
from projectw_shared.messages import About
from projectw_shared.text import safe

GIB = 1024**3
LOW_SPACE_BYTES = 5 * GIB
CLOCK_TOLERANCE_SECONDS = 30.0
NO_JOB = "00000000-0000-7000-8000-000000000000"


async def examine(settings: RunnerSettings, token: str | None) -> AsyncIterator[Finding]:
    """Yield every finding, as soon as it is known."""
    for look in (_device, _weights, _decoder):
        for finding in await asyncio.to_thread(_all, look(settings)):
            yield finding
    async for finding in _server(settings, token):
        yield finding
    for finding in await asyncio.to_thread(_all, _work_dir(settings, token)):
        yield finding


def _all(findings: Iterator[Finding]) -> list[Finding]:
    """Run a check to its end, in the thread that calls."""
    return list(findings)


def _device(settings: RunnerSettings) -> Iterator[Finding]:
    if settings.engine == "whisper":
        seen = hardware.look()
        build = f"built for CUDA {seen.cuda_build}" if seen.cuda_build else "built without CUDA"
        driver = f"NVIDIA driver {seen.driver}" if seen.driver else "no NVIDIA driver"
        yield from _torch(seen, f"torch {seen.torch}, {build}; {driver}")
        for gpu in seen.gpus:
            yield ok("gpu", f"{gpu.name}, {gpu.free / GIB:.1f} of {gpu.memory / GIB:.1f} GiB free")
    if settings.engine == "faster-whisper":
        yield from _ctranslate2()
    try:
        engine = make_engine(settings)
    except ConfigError as error:
        reason = "; ".join(str(mistake) for mistake in error.mistakes)
        yield fail("device", reason, "correct that setting, or install what it needs", Exit.CONFIGURATION)
    else:
        yield ok("device", f"{engine.name} computes on {engine.device}")


def _torch(seen: hardware.Hardware, message: str) -> Iterator[Finding]:
    if seen.driver and not seen.cuda_build:
        yield warn("torch", message, "install the build of torch for CUDA, see docs/runner.md")
    elif seen.driver and not seen.gpus:
        yield warn("torch", message, "torch finds no GPU: the driver may be too old for this build of torch")
    else:
        yield ok("torch", message)


def _ctranslate2() -> Iterator[Finding]:
    try:
        seen = hardware.look_for_ctranslate2()
    except ModuleNotFoundError:
        return  # the engine, which cannot be made, says so
    message = f"CTranslate2 {seen.version} sees {seen.devices} CUDA devices"
    if seen.driver and not seen.devices:
        yield warn("ctranslate2", message, "the driver may be too old for CTranslate2, see docs/runner.md")
    else:
        yield ok("ctranslate2", message)


def _weights(settings: RunnerSettings) -> Iterator[Finding]:
    if settings.engine == "fake":
        yield ok("weights", f"the {settings.engine} engine needs none")
        return
    store = CheckpointStore(settings.models_dir)
    found = False
    for checked in store.verify():
        found = True
        about = f"{checked.name}, {checked.path.stat().st_size / GIB:.2f} GiB, {checked.path}"
        if checked.is_genuine:
            yield ok("weights", f"{about}: the SHA-256 is OpenAI's")
        else:
            remedy = f"projectw-runner models pull {checked.name}"
            yield fail("weights", f"{about}: damaged, its SHA-256 is not OpenAI's", remedy)
    if not found:
        yield fail("weights", f"no checkpoint in {store.models_dir}", "projectw-runner models pull base")


def _decoder(settings: RunnerSettings) -> Iterator[Finding]:
    try:
        ffmpeg = find_ffmpeg()
        confinement = find_confinement(ffmpeg, "limits" if settings.confinement == "limits" else "auto")
    except JobFailure as failure:
        yield fail("ffmpeg", failure.message, "install the package ffmpeg")
        return
    yield ok("ffmpeg", str(ffmpeg))
    yield _confinement(confinement.protections, settings)


def _confinement(protections: Protections, settings: RunnerSettings) -> Finding:
    said = protections.sentence()
    if protections.is_whole:
        return ok("confinement", said)
    if settings.confinement == "limits":
        return warn("confinement", said, "set runner.confinement to auto, or take in files of your own alone")
    remedy = "install bubblewrap, or let the runner use Landlock and seccomp; see docs/runner.md"
    if settings.confinement == "require":
        return fail("confinement", said, remedy, Exit.CONFIGURATION)
    return warn("confinement", said, remedy)


async def _server(settings: RunnerSettings, token: str | None) -> AsyncIterator[Finding]:
    if token is None:
        remedy = "make one with 'projectw-server runner add NAME' and set runner.token_file"
        yield fail("token", "no token is set", remedy, Exit.CONFIGURATION)
    async with connect(settings, token or "") as api:
        try:
            findings = await _about(api)
        except ProjectWError as error:
            remedy = "check runner.server_url, the network between, and whether the server runs"
            if isinstance(error, Unreachable) and "ertificate" in error.detail:
                remedy = "set runner.ca_file to the certificate authority of the server"
            yield fail("server", safe(error.detail), remedy, exit_code(error))
            return
        for finding in findings:
            yield finding
        if token is not None:
            yield await _token(api)


async def _about(api: Api) -> list[Finding]:
    asked = datetime.now(UTC)
    async with api.open("GET", routes.ABOUT, timeout=15) as response:
        date = response.headers.get("Date")
        body = await response.read()
    between = asked + (datetime.now(UTC) - asked) / 2
    try:
        about = msgspec.json.decode(body, type=About)
    except msgspec.DecodeError as error:
        raise Unreachable(f"{api.server_url} answers, but is no Project W server") from error
    return [_version(api, about), *_clock(date, between)]


def _version(api: Api, about: About) -> Finding:
    message = f"{api.server_url} is {safe(about.name)} {safe(about.version)}, this runner {__version__}"
    if _numbers(about.version) < _numbers(__version__):
        return warn("server", message, "upgrade the server first, then its runners")
    return ok("server", message)


def _clock(date: str | None, now: datetime) -> Iterator[Finding]:
    """Compare with the server's Date, which has no fractions; what it leaves out counts half."""
    try:
        ahead = (now - parsedate_to_datetime(date or "")).total_seconds() - 0.5
    except ValueError:
        return
    if abs(ahead) > CLOCK_TOLERANCE_SECONDS:
        which = "ahead of" if ahead > 0 else "behind"
        message = f"this clock is {abs(ahead):.0f} s {which} the server's"
        yield warn("clock", message, "let NTP set both clocks; certificates and logs depend on them")
    else:
        yield ok("clock", f"within {max(1.0, abs(ahead)):.0f} s of the server's")


async def _token(api: Api) -> Finding:
    """Ask for the recording of a job that is not there: only a valid runner's token hears so."""
    try:
        async with api.open("GET", routes.RUNNER_AUDIO.format(id=NO_JOB), query={"lease": 0}, timeout=15):
            return ok("token", "the server knows it")
    except (Unauthorized, Forbidden):
        remedy = "make a new one with 'projectw-server runner add NAME'"
        return fail("token", "the server refuses this runner's token", remedy, Exit.NOT_ALLOWED)
    except ProjectWError as error:
        if error.status in (404, 409, 422):
            return ok("token", "the server knows it")
        remedy = "try again; the server's log says more"
        return fail("token", safe(error.detail), remedy, exit_code(error))


def _work_dir(settings: RunnerSettings, token: str | None) -> Iterator[Finding]:
    path = settings.work_path
    try:
        scratch, _ = open_work_dir(path, token or "")
        with scratch.folder() as folder:
            _write(folder / "trial")
        free = shutil.disk_usage(path).free
    except (ConfigError, OSError) as error:
        remedy = "give the runner's user the right to write there, or set runner.work_dir"
        yield fail("work_dir", f"{path} cannot be used: {error}", remedy)
        return
    message = f"{path}, {free / GIB:.1f} GiB free"
    if free < LOW_SPACE_BYTES:
        yield warn("work_dir", message, "make room: the recording at work lies there as a whole")
    else:
        yield ok("work_dir", message)


def _write(path: Path) -> None:
    with path.open("wb") as file:
        file.write(b"\0" * 4096)
        os.fsync(file.fileno())


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
