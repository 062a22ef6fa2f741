"""The command line: what an operator does to the server, and to its accounts while it runs."""

import asyncio
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import click
import msgspec

from projectw_server import exposure, home
from projectw_server.accounts.domains import check_domains
from projectw_server.accounts.issuing import show_code
from projectw_server.accounts.keys import signing_key
from projectw_server.accounts.outbox import Purpose
from projectw_server.accounts.passwords import Passwords
from projectw_server.accounts.runner_tokens import RunnerTokens
from projectw_server.accounts.strength import GOOD, weakness_of
from projectw_server.accounts.users import Users
from projectw_server.agreement import bind_folder, mark_folder
from projectw_server.clock import moment
from projectw_server.commands.audit import audit_commands
from projectw_server.commands.context import PROGRAM, ask_password, print_rows, settings_of, with_database
from projectw_server.commands.doctor import doctor
from projectw_server.commands.keys import keys_commands
from projectw_server.db import Database, DatabaseUnusable, open_database
from projectw_server.db.moving import NotMoved, move
from projectw_server.db.opening import check_url, sqlite_file
from projectw_server.secrets import with_secrets
from projectw_server.settings import ServerSettings
from projectw_server.tls import certificate_of
from projectw_shared import __version__, usage
from projectw_shared.config import SECTIONS, ConfigError, Mistake, load, schema
from projectw_shared.errors import ProjectWError
from projectw_shared.exits import Exit, exit_code
from projectw_shared.text import safe


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; what went wrong is said on stderr in a sentence."""
    try:
        result = group.main(arguments, prog_name=PROGRAM, standalone_mode=False)
    except click.UsageError as error:
        usage.show(error)
        return Exit.USAGE
    except click.ClickException as error:
        usage.show(error)
        return Exit.FAILED
    except (click.Abort, KeyboardInterrupt):
        return Exit.INTERRUPTED
    except ConfigError as error:
        return _fail(str(error), Exit.CONFIGURATION, has_lines=True)
    except ProjectWError as error:
        return _fail(error.detail, exit_code(error))
    except (home.HomeError, DatabaseUnusable, NotMoved) as error:
        return _fail(str(error), Exit.FAILED)
    except UnicodeEncodeError:
        # Python makes such text of an argument's bytes that are no UTF-8; no database and no key takes it.
        return _fail("an argument holds bytes that are no text; give all of it in UTF-8", Exit.USAGE)
    return result if isinstance(result, int) else Exit.DONE


def _fail(sentence: str, code: Exit, *, has_lines: bool = False) -> Exit:
    click.echo(f"{PROGRAM}: {safe(sentence, keep_newlines=has_lines)}", err=True)
    return code


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="The configuration file.")
@click.version_option(__version__, prog_name=PROGRAM)
@click.pass_context
def group(context: click.Context, config: Path | None) -> None:
    """The server of Project W: accounts, the queue, recordings and transcripts."""
    context.obj = config


@group.command()
@click.option("--host", help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), help="The port to listen on; 0 takes any free one.")
@click.option("--data-dir", type=click.Path(path_type=Path), metavar="DIR", help="Where the data lives.")
@click.pass_obj
def serve(config: Path | None, host: str | None, port: int | None, data_dir: Path | None) -> int:
    """Run the server until it is stopped."""
    # Imported here: the web framework takes half a second, which 'user list' need not wait for.
    from projectw_server import serving

    settings = settings_of(config, host=host, port=port, data_dir=data_dir)

    def announce(line: str) -> None:
        if settings.log_format == "json":
            line = msgspec.json.encode({"event": line, "level": "info"}).decode()
        click.echo(line, err=True)

    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(serving.serve(settings, announce))
    except serving.CannotListen as error:
        return _fail(str(error), Exit.FAILED)
    return Exit.DONE


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ModuleNotFoundError:  # not on every platform; the standard loop serves as well, more slowly
        return None
    return uvloop.new_event_loop


@group.command()
@click.pass_obj
def migrate(config: Path | None) -> None:
    """Bring the database's tables up to date; the server does so itself when it starts."""

    async def work(_database: Database) -> None:
        click.echo("The database is up to date.", err=True)

    with_database(config, work)


@group.command("migrate-database")
@click.argument("url", metavar="POSTGRES_URL")
@click.pass_obj
def migrate_database(config: Path | None, url: str) -> None:
    """Move everything from the SQLite file in data_dir to the empty database at POSTGRES_URL.

    The server must be stopped. The file and the recordings stay as they are; afterwards set database_url.
    """
    settings = settings_of(config)
    if not settings.database.startswith("sqlite"):
        raise click.UsageError("the configuration names no SQLite database that could be moved")
    check_url(url)
    if url.startswith("sqlite"):
        raise click.UsageError(
            "POSTGRES_URL is the address of a PostgreSQL: postgres://USER:PASSWORD@HOST/NAME"
        )
    source = sqlite_file(settings.database)
    if not source.is_file():
        raise click.ClickException(f"there is no database at {safe(str(source))}")

    def told(table: str, count: int) -> None:
        if sys.stderr.isatty():
            click.echo(f"\r{table}: {count}  ", nl=False, err=True)

    async def whole() -> dict[str, int]:
        async with open_database(settings.database):
            pass  # so that its tables are up to date
        # Before anything is moved: a server that starts afterwards takes only a folder that has a mark.
        mark = await mark_folder(settings.recordings)
        async with open_database(url) as target:
            counts = await move(source, target, told)
            await bind_folder(target, mark)
            return counts

    with home.sole_server(settings.home):
        counts = asyncio.run(whole())
    if sys.stderr.isatty():
        click.echo("\r\033[K", nl=False, err=True)
    for table, count in counts.items():
        click.echo(f"{table}: {count}", err=True)
    click.echo("Moved, and compared row by row. Now set server.database_url and start the server.", err=True)


@group.group()
def user() -> None:
    """The accounts of people."""


@user.command("add")
@click.argument("email")
@click.option("--admin", is_flag=True, help="May manage runners and users.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.pass_obj
def add_user(config: Path | None, email: str, admin: bool, password_stdin: bool) -> None:
    """Make an account for EMAIL, also while the server runs."""
    password = ask_password(password_stdin)

    async def work(database: Database) -> None:
        passwords = Passwords(workers=1)
        try:
            person = await Users(database, passwords).add(email, password, is_admin=admin)
        finally:
            passwords.close()
        click.echo(f"Added {'the admin ' if admin else ''}{safe(person.email)}.", err=True)
        if (weakness := weakness_of(password, email, GOOD)) is not None:
            click.echo(f"Note that the password would be guessed: {weakness}.", err=True)

    with_database(config, work)


@user.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def list_users(config: Path | None, as_json: bool) -> None:
    """List the accounts."""

    async def work(database: Database) -> None:
        passwords = Passwords(workers=1)
        people = await Users(database, passwords).list()
        passwords.close()
        rows = [
            {
                "id": person.id,
                "email": person.email,
                "is_admin": person.is_admin,
                "confirmed": person.confirmed,
                "disabled": person.disabled,
                "created_at": moment(person.created_at),
            }
            for person in people
        ]
        print_rows(rows, as_json)

    with_database(config, work)


@user.command("code")
@click.argument("email")
@click.option(
    "--purpose",
    type=click.Choice([Purpose.CONFIRM.value, Purpose.RESET.value]),
    default=Purpose.CONFIRM.value,
    show_default=True,
    help="Confirm the address, or set a new password.",
)
@click.pass_obj
def show_user_code(config: Path | None, email: str, purpose: str) -> None:
    """Print a new code for EMAIL, alone on standard output, as a mail would bring it; older ones open nothing."""

    async def work(database: Database) -> None:
        click.echo(await show_code(database, email, Purpose(purpose)))
        click.echo(f"Good for {'one hour' if purpose == Purpose.RESET else '24 hours'}, once.", err=True)

    with_database(config, work)


@group.group()
def runner() -> None:
    """The accounts of runners."""


@runner.command("add")
@click.argument("name")
@click.pass_obj
def add_runner(config: Path | None, name: str) -> None:
    """Make a token for the runner NAME and print it, alone and this once, on standard output."""

    async def work(database: Database) -> None:
        created = await RunnerTokens(database).create(name)
        click.echo(created.token)
        click.echo("Keep this token now: it is not shown again, and only its hash is stored.", err=True)

    with_database(config, work)


@runner.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def list_runners(config: Path | None, as_json: bool) -> None:
    """List the runners."""

    async def work(database: Database) -> None:
        rows = [
            {
                "id": known.id,
                "name": known.name,
                "version": known.version,
                "last_seen": moment(known.last_seen_at),
                "created_at": moment(known.created_at),
            }
            for known in await RunnerTokens(database).list()
        ]
        print_rows(rows, as_json)

    with_database(config, work)


@runner.command("remove")
@click.argument("runner_id", metavar="ID")
@click.pass_obj
def remove_runner(config: Path | None, runner_id: str) -> None:
    """Revoke the token of the runner ID, which 'runner list' shows; what it holds is queued again."""
    settings = settings_of(config)

    async def work(database: Database) -> None:
        # Imported here: the web framework, which only this and serving need.
        from projectw_server.app import assemble
        from projectw_server.storage.folder import FolderStore

        services = assemble(settings, database, FolderStore(settings.recordings))
        await services.fleet.delete(runner_id)
        await services.relay.send()
        click.echo("Removed. Its token is refused from its next call on.", err=True)

    with_database(config, work)


@group.group("config")
def configuration() -> None:
    """The configuration file."""


@configuration.command("check")
@click.pass_obj
def check_configuration(config: Path | None) -> None:
    """Say everything that is wrong with the configuration, or that nothing is."""
    loaded = load("server", ServerSettings, config=config)
    settings = loaded.settings
    looks: list[Callable[[], object]] = [
        lambda: with_secrets(settings),
        lambda: check_url(settings.database),
        lambda: exposure.check(settings),
        lambda: certificate_of(settings),
    ]
    if settings.signing_key is not None or settings.signing_key_file is not None:
        looks.append(lambda: signing_key(settings))
    # Imported here: what speaks to mail servers, which only this and serving need.
    from projectw_server.accounts.mail.transport import transport_of

    looks += [lambda: check_domains(settings), lambda: transport_of(with_secrets(settings))]
    mistakes: list[Mistake] = []
    for look in looks:
        try:
            look()
        except ConfigError as error:
            mistakes += error.mistakes
    if mistakes:
        raise ConfigError(mistakes, loaded.path)
    where = loaded.path or "There is no configuration file; the defaults are in force, and they"
    click.echo(f"{safe(str(where))}: fine" if loaded.path else f"{where} are fine")


@configuration.command("schema")
def show_schema() -> None:
    """Print the JSON Schema of the configuration file, for editors."""
    document = schema({"server": ServerSettings})
    # The other programs know their own sections; a file that has them is right all the same.
    for section in SECTIONS:
        document["properties"].setdefault(section, {"type": "object"})
    click.echo(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())


for each in (audit_commands, keys_commands, doctor):
    group.add_command(each)
