"""Asking what would become of a recording before it is sent."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from projectw_tui.cli.context import Context, put, put_json, run_async, say
from projectw_tui.cli.tables import facts, json_of
from projectw_tui.cli.wishes import given_of, merged, own_defaults, settings_options
from projectw_tui.display import clock

if TYPE_CHECKING:
    from projectw_shared.messages import Estimate


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@settings_options
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_obj
def estimate(context: Context, /, file: Path, as_json: bool, **options: Any) -> None:
    """Say when FILE would be done if it were sent now. Of the file its size alone is told to the server."""
    run_async(_estimate(context, file.stat().st_size, as_json, given_of(options)))


async def _estimate(context: Context, count: int, as_json: bool, given: dict[str, Any]) -> None:
    from projectw_shared.messages import EstimateWish

    async with context.client() as client:
        settings = merged(await own_defaults(client), given)
        found = await client.estimate(EstimateWish(bytes=count, settings=settings))
    if as_json:
        put_json(json_of(found))
    else:
        put(*_facts(found))
        if found.eta is None and found.waiting is None:
            say("Nobody can say yet how long it would take.")


def _facts(found: "Estimate") -> list[str]:
    return facts(
        {
            "place in the queue": found.position,
            "begins in": clock(found.begins_in),
            "done in": clock(found.eta),
            "runners that can do it": str(found.runners),
            "would wait for": found.waiting.message if found.waiting else None,
        }
    )
