from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.migrations import operations as ops

# Each user's numbers go on from the one that all had in common.
FILL = [
    "INSERT INTO feeds (owner_id, change, horizon) SELECT id,"
    " (SELECT value FROM counters WHERE name = 'change'),"
    " (SELECT value FROM counters WHERE name = 'horizon') FROM users",
]

MODELS = (
    "tiny.en", "tiny", "base.en", "base", "small.en", "small", "medium.en", "medium", "large-v1", "large-v2", "large-v3",
    "large-v3-turbo",
)  # fmt: skip
SAME = (("large", "large-v3"), ("turbo", "large-v3-turbo"))

# What the jobs of before need of a runner, as jobs/needs.py says for those of today. Their settings are JSON, written
# by us in this order; a quotation mark in a person's text stands behind a backslash there, so it cannot match.
NEEDS = [
    *(
        f"UPDATE jobs SET needs = '{need}' WHERE settings LIKE '{{\"model\":\"{name}\",%'"  # noqa: S608  names of ours
        for name, need in (*((each, each) for each in MODELS), *SAME)
    ),
    'UPDATE jobs SET needs = \'*multilingual\' WHERE settings LIKE \'{"model":null,"language":"%\''
    ' AND settings NOT LIKE \'{"model":null,"language":"en",%\'',
    'UPDATE jobs SET needs = \'*translating\' WHERE settings LIKE \'{"model":null,%,"task":"translate",%\'',
]

INDEXES = [
    "CREATE INDEX IF NOT EXISTS deletions_changes ON deletions (owner_id, revision)",
    "CREATE INDEX jobs_offered ON jobs (needs, rank, start_tag, id) WHERE state = 'queued'",
    # A runner does one job at a time, whichever servers it talks to.
    "CREATE UNIQUE INDEX jobs_one_each ON jobs (runner_id) WHERE state IN ('assigned', 'running')",
]
NO_INDEXES = ["DROP INDEX jobs_one_each", "DROP INDEX jobs_offered"]


class Migration(migrations.Migration):
    dependencies = [("server", "0003_shares")]
    initial = False

    operations = [
        ops.CreateModel(
            name="Feed",
            fields=[
                (
                    "owner",
                    fields.OneToOneField(
                        "server.User",
                        source_field="owner_id",
                        db_constraint=True,
                        to_field="id",
                        on_delete=OnDelete.CASCADE,
                        primary_key=True,
                    ),
                ),
                ("change", fields.BigIntField(default=0)),
                ("horizon", fields.BigIntField(default=0)),
            ],
            options={"table": "feeds", "app": "server", "pk_attr": "owner_id"},
            bases=["Model"],
        ),
        ops.RunSQL(FILL, ops.RunSQL.noop),
        ops.DeleteModel(name="Counter"),
        ops.AlterField(model_name="Deletion", name="revision", field=fields.BigIntField()),
        ops.AddField(
            model_name="Job", name="needs", field=fields.CharField(max_length=64, default="*", db_default="*")
        ),
        ops.AddField(
            model_name="Job", name="failed_runner_id", field=fields.CharField(null=True, max_length=36)
        ),
        ops.AddField(
            model_name="Job", name="resumed_from", field=fields.FloatField(default=0.0, db_default=0.0)
        ),
        ops.AddField(
            model_name="Runner", name="cordon_reason", field=fields.CharField(null=True, max_length=200)
        ),
        ops.AddField(
            model_name="Runner", name="failures_in_row", field=fields.IntField(default=0, db_default=0)
        ),
        ops.RunSQL(NEEDS, ops.RunSQL.noop),
        ops.RunSQL(INDEXES, NO_INDEXES),
        ops.CreateModel(
            name="Speed",
            fields=[
                ("key", fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                (
                    "runner",
                    fields.ForeignKeyField(
                        "server.Runner",
                        source_field="runner_id",
                        db_constraint=True,
                        to_field="id",
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                ("model", fields.CharField(max_length=64)),
                ("language", fields.CharField(max_length=8)),
                ("factor", fields.FloatField()),
                ("samples", fields.IntField()),
            ],
            options={
                "table": "speeds",
                "app": "server",
                "unique_together": (("runner", "model", "language"),),
                "pk_attr": "key",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Office",
            fields=[
                ("name", fields.CharField(primary_key=True, unique=True, db_index=True, max_length=32)),
                ("holder", fields.CharField(max_length=36)),
                ("beat", fields.BigIntField(default=0)),
            ],
            options={"table": "offices", "app": "server", "pk_attr": "name"},
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Fact",
            fields=[
                ("name", fields.CharField(primary_key=True, unique=True, db_index=True, max_length=32)),
                ("value", fields.CharField(max_length=255)),
            ],
            options={"table": "facts", "app": "server", "pk_attr": "name"},
            bases=["Model"],
        ),
    ]
