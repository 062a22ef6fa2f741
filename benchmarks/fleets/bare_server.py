"""The least that answers ``/readyz`` with Quart and Tortoise: what a start cannot be faster than.

``python -m benchmarks.fleets.bare_server DATABASE_URL PORT``. One table, and one question to it.
"""

import sys

import uvicorn
import uvloop
from quart import Quart
from tortoise import Tortoise, fields
from tortoise.models import Model


class User(Model):
    """A small table that every database of ours has."""

    id = fields.CharField(36, primary_key=True)

    class Meta:
        table = "users"


async def serve(database_url: str, port: int) -> None:
    """Serve until the process is ended."""
    models = {"models": [__name__]}
    await Tortoise.init(db_url=database_url, modules=models, _enable_global_fallback=True)
    app = Quart("bare", static_folder=None)

    @app.get("/readyz")
    async def readyz() -> str:
        await User.all().count()
        return "ok"

    config = uvicorn.Config(
        app, host="127.0.0.1", port=port, access_log=False, log_config=None, lifespan="on"
    )
    await uvicorn.Server(config).serve()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], int(sys.argv[2])))
