from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("server", "0002_order_and_counters")]
    initial = False

    operations = [
        ops.CreateModel(
            name="Share",
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
                ("rank", fields.IntField()),
                ("finish_tag", fields.FloatField()),
            ],
            options={
                "table": "shares",
                "app": "server",
                "unique_together": (("owner", "rank"),),
                "pk_attr": "key",
                "table_description": "The highest finish tag of a user's deleted jobs within a rank, which still counts for the next one.",
            },
            bases=["Model"],
        ),
    ]
