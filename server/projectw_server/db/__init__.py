"""The database: its tables, their migrations, and the one way to run a transaction."""

from projectw_server.db.database import Database, Row, Statements, Transaction, open_database

__all__ = ["Database", "Row", "Statements", "Transaction", "open_database"]
