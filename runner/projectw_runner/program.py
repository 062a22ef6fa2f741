"""The runner put together from its settings, and its signals."""

import asyncio
import os
import resource
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import structlog

from projectw_runner import logs
from projectw_runner.agent import Agent
from projectw_runner.client import RunnerClient
from projectw_runner.delivery import Delivery, Outbox
from projectw_runner.engines import Engine, Unsupported, registry
from projectw_runner.failures import JobFailure
from projectw_runner.media import MediaLimits, find_confinement, find_ffmpeg, open_recording
from projectw_runner.reporting import reporting
from projectw_runner.scratch import Scratch
from projectw_runner.settings import RunnerSettings
from projectw_runner.work import OpenRecording, Worker
from projectw_shared import __version__
from projectw_shared.config import ConfigError, Mistake
from projectw_shared.exits import Exit
from projectw_shared.extras import missing_extra
from projectw_shared.http import Api, Exchange, FixedToken
from projectw_shared.messages import Registration
from projectw_shared.supervision import Supervisor

USER_AGENT = f"projectw-runner/{__version__}"
MEBIBYTE = 1024 * 1024


async def run(settings: RunnerSettings, token: str) -> None:
    """Run until stopped, drained, or refused by the server; see ``Agent.run`` for what is raised then.

    Raises ``ConfigError`` for an engine or device that is not there, ``JobFailure`` when nothing can decode.
    """
    log = structlog.get_logger()
    # A crash must not write what was being transcribed to a disk.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signals = Signals()
    scratch, outbox = open_work_dir(settings.work_path, token)
    if wiped := scratch.wipe():
        log.info("removed recordings that an earlier run has left", folders=wiped)
    thread = ThreadPoolExecutor(1, "engine")
    engine = await asyncio.get_running_loop().run_in_executor(thread, make_engine, settings)
    models = await asyncio.to_thread(engine.models)
    open_confined = await asyncio.to_thread(_opener, settings)
    log.info("ready", engine=engine.name, device=engine.device, models=", ".join(models) or "none")
    if not models:
        log.warning("no checkpoint is here: fetch one with 'projectw-runner models pull base'")
    async with connect(settings, token, on_exchange=logs.log_exchange) as api:
        client = RunnerClient(api)
        worker = Worker(
            client,
            engine,
            open_recording=open_confined,
            scratch=scratch,
            thread=thread,
            idle_seconds=settings.idle_unload_seconds,
            step_seconds=settings.step_timeout_seconds,
        )
        registration = Registration(settings.label, __version__, engine.name, engine.device[:200], models)
        agent = Agent(client, worker, Delivery(client, outbox), registration)
        supervisor = Supervisor.from_environment()
        signals.ask = lambda: stop(agent, supervisor)
        supervisor.tell("READY=1")
        try:
            async with reporting(supervisor, agent, worker):
                await agent.run()
        finally:
            supervisor.tell("STOPPING=1")
            if worker.is_stuck:
                # Python would wait for the engine's thread, which may be inside a batch of any length. All
                # that matters is done: the job is handed back, its recording removed.
                os._exit(Exit.FAILED if worker.has_hung else Exit.DONE)
            worker.close()


def stop(agent: Agent, supervisor: Supervisor) -> None:
    """Let ``agent`` come to an end, and tell ``supervisor`` that it does."""
    supervisor.tell("STOPPING=1", "STATUS=Handing back what is held")
    agent.stop()


def connect(
    settings: RunnerSettings, token: str, *, on_exchange: Callable[[Exchange], object] | None = None
) -> Api:
    """Return the way to the server, to be entered; ``on_exchange`` hears of each request."""
    return Api(
        settings.server_url,
        credentials=FixedToken(token),
        user_agent=USER_AGENT,
        ca_file=settings.ca_file,
        allow_plain_http=settings.allow_plain_http,
        on_exchange=on_exchange,
    )


def open_work_dir(path: Path, token: str) -> tuple[Scratch, Outbox]:
    """Make the folders that a runner works in. Raises ``ConfigError``."""
    try:
        return Scratch(path / "jobs"), Outbox(path / "outbox", token)
    except OSError as error:
        reason = f"{path} cannot be written: {error.strerror}"
        raise ConfigError([Mistake("runner.work_dir", None, reason)]) from error


def make_engine(settings: RunnerSettings) -> Engine:
    """Make the engine that is set. Imports what it computes with, which takes seconds. Raises ``ConfigError``."""
    if settings.engine not in registry.ENGINES:
        reason = f"there is no engine {settings.engine!r}; the engines are {', '.join(registry.ENGINES)}"
        raise ConfigError([Mistake("runner.engine", None, reason)])
    try:
        return registry.create(
            settings.engine,
            models_dir=settings.models_dir,
            device=settings.device,
            default_model=settings.default_model,
            threads=settings.threads,
            precision=settings.precision,
            batch_size=settings.batch_size,
            cpu_fallback=settings.cpu_fallback,
            speed=settings.fake_speed,
            faults=settings.fake_faults or (),
            seed=settings.fake_seed,
        )
    except Unsupported as error:
        raise ConfigError([Mistake(f"runner.{error.setting}", None, str(error))]) from error
    except ValueError as error:
        raise ConfigError([Mistake("runner.device", None, str(error))]) from error
    except ModuleNotFoundError as error:
        reason = missing_extra(error, registry.EXTRAS[settings.engine], f"the engine {settings.engine}")
        raise ConfigError([Mistake("runner.engine", None, reason)]) from error


def media_limits(settings: RunnerSettings) -> MediaLimits:
    """Return the bounds on a recording that are set."""
    return MediaLimits(
        max_seconds=settings.max_audio_hours * 3600,
        max_cpu_seconds=settings.max_decode_cpu_seconds,
        max_memory_bytes=settings.max_decode_memory_mb * MEBIBYTE,
    )


def _opener(settings: RunnerSettings) -> OpenRecording:
    ffmpeg = find_ffmpeg()
    try:
        confinement = find_confinement(ffmpeg, settings.confinement)
    except JobFailure as failure:
        if failure.code != "decoder-unconfined":
            raise
        reason = f"is require, which cannot be had here. {failure.message}"
        raise ConfigError([Mistake("runner.confinement", None, reason)]) from failure
    protections = confinement.protections
    log = structlog.get_logger()
    level = log.info if protections.is_whole else log.warning
    level(protections.sentence())
    return partial(open_recording, limits=media_limits(settings), ffmpeg=ffmpeg, confinement=confinement)


class Signals:
    """SIGTERM and SIGINT: the first asks, the second ends the process at once."""

    def __init__(self) -> None:
        self.ask: Callable[[], None] | None = None
        """What the first signal calls; until it is set nothing is held and nothing is lost by leaving."""
        self._came = False
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)

    def _on_signal(self, number: signal.Signals) -> None:
        if self._came:
            os._exit(128 + number)
        self._came = True
        if self.ask is None:
            os._exit(0)
        structlog.get_logger().info("asked to stop; once more ends it at once", signal=number.name)
        self.ask()
