"""The server's settings: the ``server:`` section of the configuration."""

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta
from platformdirs import user_data_path

from projectw_shared.secrecy import Discreet

MIB = 1024**2
GIB = 1024**3

Positive = Annotated[float, Meta(gt=0)]
PositiveCount = Annotated[int, Meta(gt=0)]


class ServerSettings(Discreet, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that an operator can set; without any of it a server for this machine alone starts."""

    name: str = "Project W"
    """What this installation calls itself."""
    source_code: str = "https://github.com/project-w/project-w"
    """Where users find the source of what runs here."""
    host: str = "127.0.0.1"
    """The address to listen on."""
    port: Annotated[int, Meta(ge=0, le=65535)] = 8000
    """The port to listen on; 0 takes any free one."""
    public_url: str | None = None
    """The address by which people reach this server (default: none is known)."""
    allowed_hosts: list[str] = []
    """Further names under which the server may be asked; that of public_url is one, and loopback's always are."""
    tls_certificate_file: Path | None = None
    """The certificate (PEM, with its chain) to speak TLS with, for those without a proxy; read anew when it changes."""
    tls_key_file: Path | None = None
    """The certificate's private key (PEM, without a passphrase)."""
    trusted_proxies: list[str] = []
    """Addresses and networks of the proxies in front, whose X-Forwarded-For and X-Forwarded-Proto are believed."""
    insecure_plain_http: bool = False
    """Listen without TLS and without a proxy beyond this machine: everything crosses the network unencrypted."""
    cors_origins: list[str] = []
    """Origins whose pages may call this server from a browser, such as https://app.example.org."""
    docs: bool = True
    """Serve /docs and /openapi.json."""
    metrics: Literal["admins", "token", "closed"] = "admins"
    """Who may read /metrics: admins and whoever has metrics_token, only the latter, or nobody."""
    data_dir: Path | None = None
    """Where the database, the recordings and the generated key live (default: the user's data directory)."""
    database_url: str | None = None
    """The database (default: SQLite in data_dir)."""
    signing_key: str | None = None
    """The secret that signs access tokens, at least 32 characters (default: generated, kept in data_dir)."""
    signing_key_file: Path | None = None
    """A file that holds signing_key."""
    access_token_minutes: Annotated[float, Meta(ge=15)] = 15
    """How long an access token is good."""
    session_days: Positive = 30
    """How long a sign-in lasts when it is not used."""
    login_attempts_per_minute: PositiveCount = 300
    """How many sign-ins one address may try."""
    admins_may_read: bool = False
    """Whether an admin may read somebody's transcript, with a reason that its owner is told."""
    keep_audit_days: Annotated[float, Meta(ge=1)] | None = None
    """How long entries of the audit log, with their network addresses, are kept (default: forever)."""
    quota_audio_seconds: Annotated[float, Meta(ge=0)] | None = None
    """How many seconds of audio a user may have transcribed in a calendar month (default: without bound)."""
    quota_bytes: Annotated[int, Meta(ge=0)] | None = None
    """How many bytes of recordings a user may have stored (default: without bound)."""
    quota_jobs: Annotated[int, Meta(ge=0)] | None = None
    """How many jobs of a user may wait at once (default: without bound)."""
    signup: Literal["closed", "open"] = "closed"
    """Whether people may make accounts themselves; closed, only the operator and admins make them."""
    allowed_email_domains: list[str] = []
    """The domains whose addresses may sign up, each exactly as written and without its subdomains (none: every one)."""
    min_password_strength: Annotated[int, Meta(ge=0, le=4)] = 3
    """How hard to guess a password must be, on zxcvbn's scale."""
    smtp_host: str | None = None
    """The mail server that sends our mails; without one 'projectw-server user code' shows the codes."""
    smtp_port: Annotated[int, Meta(ge=1, le=65535)] | None = None
    """Its port (default: 587 for starttls, 465 for tls, 25 for plain)."""
    smtp_security: Literal["starttls", "tls", "plain"] = "starttls"
    """How the connection to it is encrypted; plain is for a mail server on this machine alone."""
    smtp_user: str | None = None
    """Whom to sign in there as."""
    smtp_password: str | None = None
    """The password of smtp_user."""
    smtp_password_file: Path | None = None
    """A file that holds smtp_password."""
    smtp_ca_file: Path | None = None
    """A PEM file with the certificate authority of the mail server, when the system does not know it."""
    mail_from: str | None = None
    """Whom our mails are from; needed with smtp_host."""
    max_upload_bytes: PositiveCount = 50 * GIB
    """The largest recording that is accepted."""
    min_free_bytes: Annotated[int, Meta(ge=0)] = 100 * MIB
    """Uploads are refused when the disk would have less room than this."""
    upload_idle_seconds: Positive = 30
    """How long a body may be silent, or slower than min_bytes_per_second, before it is given up."""
    min_bytes_per_second: PositiveCount = 1000
    """How fast a body has to come, and an answer to be taken, measured over upload_idle_seconds."""
    heartbeat_seconds: Positive = 15
    """How often a runner calls, at most a quarter of lease_seconds."""
    lease_seconds: Positive = 60
    """How long a runner may be silent before its job is given to another."""
    max_attempts: PositiveCount = 3
    """How often a job is tried when its runners vanish or fail."""
    max_failures_in_row: PositiveCount = 5
    """After how many jobs that failed one after another a runner gets no more, until an admin looks."""
    shutdown_delay_seconds: Annotated[float, Meta(ge=0)] = 0
    """How long the server, told to stop, still serves while /readyz says 503, so that a balancer notices."""
    max_requests_in_flight: PositiveCount = 64
    """How many requests are worked on at once: up to a quarter of them are lists and submissions, up to half are what
    people ask at all. Runners that hold a job go beyond it."""
    max_requests_waiting: Annotated[int, Meta(ge=0)] = 4096
    """How many requests wait for their turn before further ones are refused, with the same shares."""
    max_lag_seconds: Positive = 4
    """How late the server may come to what is due before it refuses requests, with the same shares."""
    max_connections: PositiveCount = 10_000
    """How many connections may be open at once."""
    max_connections_per_address: PositiveCount = 5000
    """How many of them one address may have; three quarters of them at most, and a trusted proxy all."""
    metrics_token: str | None = None
    """A bearer token with which Prometheus may read /metrics; admins may always."""
    metrics_token_file: Path | None = None
    """A file that holds metrics_token."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important messages that are logged."""
    log_format: Literal["text", "json"] = "text"
    """How messages are written to stderr."""

    @property
    def beat_seconds(self) -> float:
        """How often a runner is asked to call: four times within a lease at least, so that one call may fail."""
        return min(self.heartbeat_seconds, self.lease_seconds / 4)

    @property
    def home(self) -> Path:
        """The data directory in force."""
        return self.data_dir or user_data_path("projectw") / "server"

    @property
    def recordings(self) -> Path:
        """The folder of the recordings."""
        return self.home / "recordings"

    @property
    def database(self) -> str:
        """The database URL in force."""
        return self.database_url or f"sqlite://{self.home / 'projectw.sqlite3'}"
