"""The tables. Times are seconds since the epoch (UTC), so that one statement serves SQLite and PostgreSQL."""

from tortoise import fields
from tortoise.models import Model


class User(Model):
    """A person. The e-mail address is unique without regard to case: it is stored in lower case.

    ``email`` is an address that was confirmed; until one is, the id stands there, and ``unconfirmed_email`` is what
    was signed up with, so that nobody can keep an address from its owner or learn that it is taken. Afterwards
    ``unconfirmed_email`` is the address that is to be the next one. ``quota`` and ``job_defaults`` are JSON.
    ``erased_at`` is set from the moment that the account is deleted until nothing of it is left.
    """

    id = fields.CharField(36, primary_key=True)
    email = fields.CharField(320, unique=True)
    unconfirmed_email = fields.CharField(320, null=True)
    password_hash = fields.CharField(255)
    is_admin = fields.BooleanField(default=False)
    disabled = fields.BooleanField(default=False)
    quota = fields.TextField(null=True)
    job_defaults = fields.TextField(null=True)
    created_at = fields.FloatField()
    erased_at = fields.FloatField(null=True)

    class Meta:
        table = "users"


class Session(Model):
    """A sign-in. Its id is the sid of the access tokens, and the row's end is theirs.

    ``generation`` counts the refreshes: a refresh token of an earlier one was used twice, so it was stolen.
    """

    id = fields.CharField(36, primary_key=True)
    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField("server.User", on_delete=fields.CASCADE)
    generation = fields.IntField(default=0)
    created_at = fields.FloatField()
    expires_at = fields.FloatField()
    used_at = fields.FloatField(null=True)
    address = fields.CharField(64, null=True)
    client = fields.CharField(200, null=True)

    class Meta:
        table = "sessions"


class ApiToken(Model):
    """A token for a person's scripts. Of its secret only the hash is kept."""

    id = fields.CharField(36, primary_key=True)
    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField("server.User", on_delete=fields.CASCADE)
    name = fields.CharField(200)
    scope = fields.CharField(16)
    token_hash = fields.CharField(64, unique=True)
    created_at = fields.FloatField()
    expires_at = fields.FloatField(null=True)
    used_at = fields.FloatField(null=True)

    class Meta:
        table = "api_tokens"


class MailToken(Model):
    """A code that was sent to an address: for one purpose, once, for a time. Of the code only the hash is kept."""

    token_hash = fields.CharField(64, primary_key=True)
    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField("server.User", on_delete=fields.CASCADE)
    purpose = fields.CharField(16)
    email = fields.CharField(320)
    expires_at = fields.FloatField()

    class Meta:
        table = "mail_tokens"


class Mail(Model):
    """A mail that is to be sent. What it says, its code above all, is made only when it is.

    ``subject_id`` is what it is about: a user, or a disclosure. ``due_at`` is when it is tried (again); whoever sends
    it puts that off first.
    """

    id = fields.CharField(36, primary_key=True)
    purpose = fields.CharField(16)
    email = fields.CharField(320)
    subject_id = fields.CharField(36, null=True)
    tries = fields.IntField(default=0)
    due_at = fields.FloatField()
    created_at = fields.FloatField()

    class Meta:
        table = "mails"


class AuditEntry(Model):
    """Something that was done. Ids only, so that an account can be erased and the log stays whole.

    Written with what it tells of, and sealed a moment later, by one server at a time: it then has a ``number`` without
    gaps, and a ``hash`` over itself and the one before.
    """

    key = fields.BigIntField(primary_key=True)
    number = fields.BigIntField(null=True, unique=True)
    at = fields.FloatField()
    actor_kind = fields.CharField(16)
    actor_id = fields.CharField(36, null=True)
    address = fields.CharField(64, null=True)
    action = fields.CharField(40)
    object_id = fields.CharField(36, null=True)
    details = fields.TextField(default="{}")
    hash = fields.CharField(64, null=True)

    class Meta:
        table = "audit"


class Disclosure(Model):
    """That an admin has read somebody's transcript, and why: its owner is told."""

    id = fields.CharField(36, primary_key=True)
    owner: fields.ForeignKeyRelation[User] = fields.ForeignKeyField("server.User", on_delete=fields.CASCADE)
    job_id = fields.CharField(36)
    admin_id = fields.CharField(36)
    reason = fields.TextField()
    at = fields.FloatField()

    class Meta:
        table = "disclosures"


class Usage(Model):
    """Seconds of audio that a user had transcribed in a month (``2026-11``, UTC); deleting does not undo them."""

    key = fields.BigIntField(primary_key=True)
    owner: fields.ForeignKeyRelation[User] = fields.ForeignKeyField("server.User", on_delete=fields.CASCADE)
    month = fields.CharField(7)
    audio_seconds = fields.FloatField()

    class Meta:
        table = "usage"
        unique_together = (("owner", "month"),)


class Runner(Model):
    """A runner's account and its one valid registration. Of its token only the hash is kept.

    ``cordon_reason`` is set when the server cordoned it by itself, after ``failures_in_row`` jobs that failed there.
    """

    id = fields.CharField(36, primary_key=True)
    name = fields.CharField(200)
    token_hash = fields.CharField(64, unique=True)
    session = fields.CharField(36, null=True)
    label = fields.CharField(200, null=True)
    version = fields.CharField(200, null=True)
    engine = fields.CharField(200, null=True)
    device = fields.CharField(200, null=True)
    models = fields.TextField(default="[]")
    cordoned = fields.BooleanField(default=False)
    cordon_reason = fields.CharField(200, null=True)
    failures_in_row = fields.IntField(default=0)
    draining = fields.BooleanField(default=False)
    last_seen_at = fields.FloatField(null=True)
    created_at = fields.FloatField()

    class Meta:
        table = "runners"


class Job(Model):
    """A recording on its way to text. The queue is the queued rows.

    The order is (``rank``, ``start_tag``, ``id``): rank is the negated priority, the tags are those of
    start-time fair queueing. ``lease`` only grows. ``segment_count`` and ``resume_at`` change in one
    transaction with the segments. The runner is kept as text, because the job outlives it.

    ``needs`` names what a runner must offer (``jobs.needs``); ``failed_runner_id`` is the runner that let go of
    the job last, and gets it again only if no other could. ``resumed_from`` is where the present attempt began,
    in seconds. A lease is renewed by changing ``lease_expires_at``; whoever sees it unchanged for long enough, on
    a clock of its own, takes it for lost.
    """

    id = fields.CharField(36, primary_key=True)
    owner: fields.ForeignKeyRelation[User] = fields.ForeignKeyField("server.User", on_delete=fields.CASCADE)
    idempotency_key = fields.CharField(255, null=True)
    file_name = fields.CharField(255)
    media_type = fields.CharField(100)
    bytes = fields.BigIntField()
    sha256 = fields.CharField(64)
    settings = fields.TextField()
    state = fields.CharField(16)
    cancel_requested = fields.BooleanField(default=False)
    rank = fields.IntField(default=0)
    start_tag = fields.FloatField(default=0.0)
    finish_tag = fields.FloatField(default=0.0)
    attempts = fields.IntField(default=0)
    lease = fields.BigIntField(default=0)
    lease_expires_at = fields.FloatField(null=True)
    needs = fields.CharField(64, default="*")
    failed_runner_id = fields.CharField(36, null=True)
    runner_id = fields.CharField(36, null=True)
    runner_session = fields.CharField(36, null=True)
    runner_name = fields.CharField(200, null=True)
    runner_version = fields.CharField(200, null=True)
    language = fields.CharField(8, null=True)
    duration = fields.FloatField(null=True)
    segment_count = fields.IntField(default=0)
    resume_at = fields.FloatField(default=0.0)
    resumed_from = fields.FloatField(default=0.0)
    error_code = fields.CharField(64, null=True)
    error_message = fields.TextField(null=True)
    created_at = fields.FloatField()
    started_at = fields.FloatField(null=True)
    finished_at = fields.FloatField(null=True)
    revision = fields.BigIntField()

    class Meta:
        table = "jobs"
        unique_together = (("owner", "idempotency_key"),)


class Segment(Model):
    """One segment of a transcript, whole, as JSON, with the change that appended it."""

    key = fields.BigIntField(primary_key=True)
    job: fields.ForeignKeyRelation[Job] = fields.ForeignKeyField("server.Job", on_delete=fields.CASCADE)
    number = fields.IntField()
    revision = fields.BigIntField()
    body = fields.TextField()

    class Meta:
        table = "segments"
        unique_together = (("job", "number"),)


class Delivery(Model):
    """A result that was accepted: what makes its repetition harmless, whatever came after."""

    key = fields.BigIntField(primary_key=True)
    job: fields.ForeignKeyRelation[Job] = fields.ForeignKeyField("server.Job", on_delete=fields.CASCADE)
    lease = fields.BigIntField()
    runner_id = fields.CharField(36)

    class Meta:
        table = "deliveries"
        unique_together = (("job", "lease"),)


class Deletion(Model):
    """A job that is gone, remembered for a day for clients that were away."""

    job_id = fields.CharField(36, primary_key=True)
    owner_id = fields.CharField(36)
    revision = fields.BigIntField()
    deleted_at = fields.FloatField()

    class Meta:
        table = "deletions"


class Feed(Model):
    """A user's change number, which only grows, and (horizon) that of the last deletion forgotten.

    Each user has numbers of their own: a transaction keeps the row locked until it commits, so one user's changes
    become visible in the order of their numbers, without a gap, while those of others go on side by side.
    """

    owner: fields.OneToOneRelation[User] = fields.OneToOneField(
        "server.User", on_delete=fields.CASCADE, primary_key=True
    )
    change = fields.BigIntField(default=0)
    horizon = fields.BigIntField(default=0)

    class Meta:
        table = "feeds"


class Share(Model):
    """The highest finish tag of a user's deleted jobs within a rank, which still counts for the next one."""

    key = fields.BigIntField(primary_key=True)
    owner: fields.ForeignKeyRelation[User] = fields.ForeignKeyField("server.User", on_delete=fields.CASCADE)
    rank = fields.IntField()
    finish_tag = fields.FloatField()

    class Meta:
        table = "shares"
        unique_together = (("owner", "rank"),)


class VirtualTime(Model):
    """The start tag last served within a rank: where a user who comes now begins."""

    rank = fields.IntField(primary_key=True)
    value = fields.FloatField()

    class Meta:
        table = "virtual_times"


class Speed(Model):
    """How fast a runner was with a model in a language: seconds of audio a second, a moving average."""

    key = fields.BigIntField(primary_key=True)
    runner: fields.ForeignKeyRelation[Runner] = fields.ForeignKeyField(
        "server.Runner", on_delete=fields.CASCADE
    )
    model = fields.CharField(64)
    language = fields.CharField(8)
    factor = fields.FloatField()
    samples = fields.IntField()

    class Meta:
        table = "speeds"
        unique_together = (("runner", "model", "language"),)


class Office(Model):
    """A duty that one server has at a time. The holder raises ``beat``; one that stands still is free to take."""

    name = fields.CharField(32, primary_key=True)
    holder = fields.CharField(36)
    beat = fields.BigIntField(default=0)

    class Meta:
        table = "offices"


class Fact(Model):
    """Something that every server of an installation must agree on."""

    name = fields.CharField(32, primary_key=True)
    value = fields.CharField(255)

    class Meta:
        table = "facts"
