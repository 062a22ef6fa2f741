from tortoise import migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("server", "0004_many_servers")]
    initial = False

    # What /metrics asks of the queue, its audio and its oldest job, without a look at a single row.
    operations = [
        ops.RunSQL(
            ["CREATE INDEX jobs_waiting ON jobs (created_at, bytes, duration) WHERE state = 'queued'"],
            ["DROP INDEX jobs_waiting"],
        )
    ]
