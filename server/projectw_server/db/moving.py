"""Moving an installation from its SQLite file to a PostgreSQL, whole or not at all."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from tortoise import fields
from tortoise.models import Model

from projectw_server.db import models
from projectw_server.db.backends import Row, marks
from projectw_server.db.database import Database, Transaction

TABLES: tuple[type[Model], ...] = (
    models.User,
    models.Session,
    models.ApiToken,
    models.MailToken,
    models.Mail,
    models.AuditEntry,
    models.Disclosure,
    models.Usage,
    models.Runner,
    models.Speed,
    models.Feed,
    models.Share,
    models.VirtualTime,
    models.Job,
    models.Segment,
    models.Delivery,
    models.Deletion,
    models.Office,
    models.Fact,
)
"""Every table, those first to which others refer."""

BATCH = 500

Told = Callable[[str, int], object]
"""Hears the name of a table and how many of its rows have been moved."""


class NotMoved(Exception):
    """Nothing was moved; the message says why."""


async def move(source: Path, target: Database, told: Told) -> dict[str, int]:
    """Copy every row of the SQLite file ``source`` into the empty ``target``; return how many, by table.

    All of it is one transaction, in which every row is read back and compared before it is committed. The source
    must be up to date and used by nobody, and is not changed. Raises NotMoved.
    """

    async def work(transaction: Transaction) -> dict[str, int]:
        await _check_empty(transaction)
        with closing(_opened(source)) as connection:
            return {
                model._meta.db_table: await _move_table(connection, transaction, model, told)
                for model in TABLES
            }

    return await target.transaction(work)


def _opened(source: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row
    return connection


async def _check_empty(transaction: Transaction) -> None:
    # Also those that a server fills which merely starts: it may be running, and has another folder of recordings.
    for table in (model._meta.db_table for model in TABLES):
        if await transaction.row(f"SELECT 1 AS found FROM {table} LIMIT 1"):  # noqa: S608  names of ours
            raise NotMoved(
                f"The database to move to is not empty: it has {table}; give one on which no server has run"
            )


async def _move_table(
    connection: sqlite3.Connection, transaction: Transaction, model: type[Model], told: Told
) -> int:
    table, columns, key = (
        model._meta.db_table,
        list(model._meta.fields_db_projection.values()),
        model._meta.db_pk_column,
    )
    insert = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks(len(columns))})"  # noqa: S608  names of ours
    count = 0
    for rows in _rows(connection, model, columns):
        await transaction.many(insert, [list(row.values()) for row in rows])
        there = await transaction.rows(
            f"SELECT {', '.join(columns)} FROM {table} WHERE {key} IN ({marks(len(rows))})",  # noqa: S608  names of ours
            *(row[key] for row in rows),
        )
        if {row[key]: row for row in there} != {row[key]: row for row in rows}:
            raise NotMoved(f"Rows of {table} did not come out of the new database as they went in")
        count += len(rows)
        told(table, count)
    if isinstance(model._meta.pk, fields.BigIntField) and model._meta.pk.generated:
        await transaction.rows(
            f"SELECT setval(pg_get_serial_sequence('{table}', '{key}'),"  # noqa: S608  names of ours
            f" (SELECT coalesce(max({key}), 0) + 1 FROM {table}), FALSE)"
        )
    return count


def _rows(connection: sqlite3.Connection, model: type[Model], columns: list[str]) -> Iterator[list[Row]]:
    reads = [_reader(model, column) for column in columns]
    cursor = connection.execute(f"SELECT {', '.join(columns)} FROM {model._meta.db_table}")  # noqa: S608  names of ours
    while rows := cursor.fetchmany(BATCH):
        yield [
            {column: read(value) for column, read, value in zip(columns, reads, row, strict=True)}
            for row in rows
        ]


def _reader(model: type[Model], column: str) -> Callable[[Any], Any]:
    """Return how a value of SQLite, which knows few types, becomes one of the column's own."""
    field = model._meta.fields_map[model._meta.fields_db_projection_reverse[column]]
    kind: Callable[[Any], Any] = str
    if isinstance(field, fields.BooleanField):
        kind = bool
    elif isinstance(field, fields.FloatField):
        kind = float
    elif isinstance(field, fields.IntField | fields.BigIntField):
        kind = int
    # The one character that PostgreSQL keeps in no text.
    return lambda value: (
        None if value is None else value.replace("\0", "\ufffd") if isinstance(value, str) else kind(value)
    )
