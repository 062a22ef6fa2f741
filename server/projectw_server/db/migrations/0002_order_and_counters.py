from tortoise import migrations
from tortoise.migrations import operations as ops

# Partial indexes: each holds just the rows that its statement looks at, so that claiming costs the same
# with a hundred queued jobs as with a hundred thousand, whatever else the table has kept.
FORWARD = [
    "CREATE INDEX jobs_queue ON jobs (rank, start_tag, id) WHERE state = 'queued'",
    "CREATE INDEX jobs_held ON jobs (runner_id, lease_expires_at) WHERE state IN ('assigned', 'running')",
    "CREATE INDEX jobs_of_owner ON jobs (owner_id, id)",
    "CREATE INDEX jobs_changes ON jobs (owner_id, revision)",
    "CREATE INDEX jobs_shares ON jobs (owner_id, rank, finish_tag)",
    "CREATE INDEX segments_changes ON segments (job_id, revision)",
    "CREATE INDEX deletions_changes ON deletions (owner_id, revision)",
    "CREATE INDEX sessions_of_user ON sessions (user_id)",
    "INSERT INTO counters (name, value) VALUES ('change', 0), ('horizon', 0)",
]
BACKWARD = [
    "DELETE FROM counters",
    "DROP INDEX sessions_of_user",
    "DROP INDEX deletions_changes",
    "DROP INDEX segments_changes",
    "DROP INDEX jobs_shares",
    "DROP INDEX jobs_changes",
    "DROP INDEX jobs_of_owner",
    "DROP INDEX jobs_held",
    "DROP INDEX jobs_queue",
]


class Migration(migrations.Migration):
    dependencies = [("server", "0001_initial")]
    initial = False

    operations = [ops.RunSQL(FORWARD, BACKWARD)]
