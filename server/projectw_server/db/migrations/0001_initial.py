from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    initial = True

    operations = [
        ops.CreateModel(
            name="Counter",
            fields=[
                ("name", fields.CharField(primary_key=True, unique=True, db_index=True, max_length=32)),
                ("value", fields.BigIntField()),
            ],
            options={
                "table": "counters",
                "app": "server",
                "pk_attr": "name",
                "table_description": "A number that only grows: the last change number, and (horizon) the last deletion forgotten.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Deletion",
            fields=[
                ("job_id", fields.CharField(primary_key=True, unique=True, db_index=True, max_length=36)),
                ("owner_id", fields.CharField(max_length=36)),
                ("revision", fields.BigIntField(unique=True)),
                ("deleted_at", fields.FloatField()),
            ],
            options={
                "table": "deletions",
                "app": "server",
                "pk_attr": "job_id",
                "table_description": "A job that is gone, remembered for a day for clients that were away.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Runner",
            fields=[
                ("id", fields.CharField(primary_key=True, unique=True, db_index=True, max_length=36)),
                ("name", fields.CharField(max_length=200)),
                ("token_hash", fields.CharField(unique=True, max_length=64)),
                ("session", fields.CharField(null=True, max_length=36)),
                ("label", fields.CharField(null=True, max_length=200)),
                ("version", fields.CharField(null=True, max_length=200)),
                ("engine", fields.CharField(null=True, max_length=200)),
                ("device", fields.CharField(null=True, max_length=200)),
                ("models", fields.TextField(default="[]", unique=False)),
                ("cordoned", fields.BooleanField(default=False)),
                ("draining", fields.BooleanField(default=False)),
                ("last_seen_at", fields.FloatField(null=True)),
                ("created_at", fields.FloatField()),
            ],
            options={
                "table": "runners",
                "app": "server",
                "pk_attr": "id",
                "table_description": "A runner's account and its one valid registration. Of its token only the hash is kept.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="User",
            fields=[
                ("id", fields.CharField(primary_key=True, unique=True, db_index=True, max_length=36)),
                ("email", fields.CharField(unique=True, max_length=320)),
                ("password_hash", fields.CharField(max_length=255)),
                ("is_admin", fields.BooleanField(default=False)),
                ("disabled", fields.BooleanField(default=False)),
                ("created_at", fields.FloatField()),
            ],
            options={
                "table": "users",
                "app": "server",
                "pk_attr": "id",
                "table_description": "A person. The e-mail address is unique without regard to case: it is stored in lower case.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Job",
            fields=[
                ("id", fields.CharField(primary_key=True, unique=True, db_index=True, max_length=36)),
                (
                    "owner",
                    fields.ForeignKeyField(
                        "server.User",
                        source_field="owner_id",
                        db_constraint=True,
                        to_field="id",
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                ("idempotency_key", fields.CharField(null=True, max_length=255)),
                ("file_name", fields.CharField(max_length=255)),
                ("media_type", fields.CharField(max_length=100)),
                ("bytes", fields.BigIntField()),
                ("sha256", fields.CharField(max_length=64)),
                ("settings", fields.TextField(unique=False)),
                ("state", fields.CharField(max_length=16)),
                ("cancel_requested", fields.BooleanField(default=False)),
                ("rank", fields.IntField(default=0)),
                ("start_tag", fields.FloatField(default=0.0)),
                ("finish_tag", fields.FloatField(default=0.0)),
                ("attempts", fields.IntField(default=0)),
                ("lease", fields.BigIntField(default=0)),
                ("lease_expires_at", fields.FloatField(null=True)),
                ("runner_id", fields.CharField(null=True, max_length=36)),
                ("runner_session", fields.CharField(null=True, max_length=36)),
                ("runner_name", fields.CharField(null=True, max_length=200)),
                ("runner_version", fields.CharField(null=True, max_length=200)),
                ("language", fields.CharField(null=True, max_length=8)),
                ("duration", fields.FloatField(null=True)),
                ("segment_count", fields.IntField(default=0)),
                ("resume_at", fields.FloatField(default=0.0)),
                ("error_code", fields.CharField(null=True, max_length=64)),
                ("error_message", fields.TextField(null=True, unique=False)),
                ("created_at", fields.FloatField()),
                ("started_at", fields.FloatField(null=True)),
                ("finished_at", fields.FloatField(null=True)),
                ("revision", fields.BigIntField()),
            ],
            options={
                "table": "jobs",
                "app": "server",
                "unique_together": (("owner", "idempotency_key"),),
                "pk_attr": "id",
                "table_description": "A recording on its way to text. The queue is the queued rows.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Delivery",
            fields=[
                ("key", fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                (
                    "job",
                    fields.ForeignKeyField(
                        "server.Job",
                        source_field="job_id",
                        db_constraint=True,
                        to_field="id",
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                ("lease", fields.BigIntField()),
                ("runner_id", fields.CharField(max_length=36)),
            ],
            options={
                "table": "deliveries",
                "app": "server",
                "unique_together": (("job", "lease"),),
                "pk_attr": "key",
                "table_description": "A result that was accepted: what makes its repetition harmless, whatever came after.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Segment",
            fields=[
                ("key", fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                (
                    "job",
                    fields.ForeignKeyField(
                        "server.Job",
                        source_field="job_id",
                        db_constraint=True,
                        to_field="id",
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                ("number", fields.IntField()),
                ("revision", fields.BigIntField()),
                ("body", fields.TextField(unique=False)),
            ],
            options={
                "table": "segments",
                "app": "server",
                "unique_together": (("job", "number"),),
                "pk_attr": "key",
                "table_description": "One segment of a transcript, whole, as JSON, with the change that appended it.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Session",
            fields=[
                ("id", fields.CharField(primary_key=True, unique=True, db_index=True, max_length=36)),
                (
                    "user",
                    fields.ForeignKeyField(
                        "server.User",
                        source_field="user_id",
                        db_constraint=True,
                        to_field="id",
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                ("generation", fields.IntField(default=0)),
                ("created_at", fields.FloatField()),
                ("expires_at", fields.FloatField()),
            ],
            options={
                "table": "sessions",
                "app": "server",
                "pk_attr": "id",
                "table_description": "A sign-in. Its id is the sid of the access tokens, and the row's end is theirs.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="VirtualTime",
            fields=[
                ("rank", fields.IntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ("value", fields.FloatField()),
            ],
            options={
                "table": "virtual_times",
                "app": "server",
                "pk_attr": "rank",
                "table_description": "The start tag last served within a rank: where a user who comes now begins.",
            },
            bases=["Model"],
        ),
    ]
