"""The database: its tables, their migrations, and the one way to run a transaction."""

from projectw_server.db.backends import Duplicate, Row, marks
from projectw_server.db.conditions import Conditions
from projectw_server.db.database import Database, Statements, Transaction, open_database
from projectw_server.db.opening import DatabaseUnusable

__all__ = [
    "Conditions",
    "Database",
    "DatabaseUnusable",
    "Duplicate",
    "Row",
    "Statements",
    "Transaction",
    "marks",
    "open_database",
]
