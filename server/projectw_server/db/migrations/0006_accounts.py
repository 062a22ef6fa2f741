from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.migrations import operations as ops

INDEXES = {
    "users_unconfirmed": "users (unconfirmed_email) WHERE unconfirmed_email IS NOT NULL",
    "users_erased": "users (erased_at) WHERE erased_at IS NOT NULL",
    "api_tokens_of": "api_tokens (user_id)",
    "mail_tokens_of": "mail_tokens (user_id)",
    "mails_due": "mails (due_at)",
    "audit_unsealed": "audit (key) WHERE number IS NULL",
    "disclosures_of": "disclosures (owner_id, id)",
    # What a quota of stored bytes asks for, without a look at a single row.
    "jobs_stored": "jobs (owner_id, bytes)",
}


class Migration(migrations.Migration):
    dependencies = [("server", "0005_waiting")]
    initial = False

    operations = [
        ops.AddField(
            model_name="User", name="unconfirmed_email", field=fields.CharField(null=True, max_length=320)
        ),
        ops.AddField(model_name="User", name="quota", field=fields.TextField(null=True, unique=False)),
        ops.AddField(model_name="User", name="job_defaults", field=fields.TextField(null=True, unique=False)),
        ops.AddField(model_name="User", name="erased_at", field=fields.FloatField(null=True)),
        ops.AddField(model_name="Session", name="used_at", field=fields.FloatField(null=True)),
        ops.AddField(model_name="Session", name="address", field=fields.CharField(null=True, max_length=64)),
        ops.AddField(model_name="Session", name="client", field=fields.CharField(null=True, max_length=200)),
        ops.CreateModel(
            name="ApiToken",
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
                ("name", fields.CharField(max_length=200)),
                ("scope", fields.CharField(max_length=16)),
                ("token_hash", fields.CharField(unique=True, max_length=64)),
                ("created_at", fields.FloatField()),
                ("expires_at", fields.FloatField(null=True)),
                ("used_at", fields.FloatField(null=True)),
            ],
            options={"table": "api_tokens", "app": "server", "pk_attr": "id"},
            bases=["Model"],
        ),
        ops.CreateModel(
            name="MailToken",
            fields=[
                ("token_hash", fields.CharField(primary_key=True, unique=True, db_index=True, max_length=64)),
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
                ("purpose", fields.CharField(max_length=16)),
                ("email", fields.CharField(max_length=320)),
                ("expires_at", fields.FloatField()),
            ],
            options={"table": "mail_tokens", "app": "server", "pk_attr": "token_hash"},
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Mail",
            fields=[
                ("id", fields.CharField(primary_key=True, unique=True, db_index=True, max_length=36)),
                ("purpose", fields.CharField(max_length=16)),
                ("email", fields.CharField(max_length=320)),
                ("subject_id", fields.CharField(null=True, max_length=36)),
                ("tries", fields.IntField(default=0)),
                ("due_at", fields.FloatField()),
                ("created_at", fields.FloatField()),
            ],
            options={"table": "mails", "app": "server", "pk_attr": "id"},
            bases=["Model"],
        ),
        ops.CreateModel(
            name="AuditEntry",
            fields=[
                ("key", fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ("number", fields.BigIntField(null=True, unique=True)),
                ("at", fields.FloatField()),
                ("actor_kind", fields.CharField(max_length=16)),
                ("actor_id", fields.CharField(null=True, max_length=36)),
                ("address", fields.CharField(null=True, max_length=64)),
                ("action", fields.CharField(max_length=40)),
                ("object_id", fields.CharField(null=True, max_length=36)),
                ("details", fields.TextField(default="{}", unique=False)),
                ("hash", fields.CharField(null=True, max_length=64)),
            ],
            options={"table": "audit", "app": "server", "pk_attr": "key"},
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Disclosure",
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
                ("job_id", fields.CharField(max_length=36)),
                ("admin_id", fields.CharField(max_length=36)),
                ("reason", fields.TextField(unique=False)),
                ("at", fields.FloatField()),
            ],
            options={"table": "disclosures", "app": "server", "pk_attr": "id"},
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Usage",
            fields=[
                ("key", fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
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
                ("month", fields.CharField(max_length=7)),
                ("audio_seconds", fields.FloatField()),
            ],
            options={
                "table": "usage",
                "app": "server",
                "unique_together": (("owner", "month"),),
                "pk_attr": "key",
            },
            bases=["Model"],
        ),
        ops.RunSQL(
            [f"CREATE INDEX {name} ON {what}" for name, what in INDEXES.items()],
            [f"DROP INDEX {name}" for name in INDEXES],
        ),
    ]
