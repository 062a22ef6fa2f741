"""The database: its tables, their migrations, and the one way to run a transaction."""

from projectw_server.db.database import Database, Row, Statements, Transaction, open_database
from projectw_server.db.opening import DatabaseUnusable

__all__ = ["Database", "DatabaseUnusable", "Row", "Statements", "Transaction", "open_database"]
