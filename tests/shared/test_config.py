"""The configuration: what it gives, and how each kind of mistake is told."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest
import yaml
from msgspec import Meta

from projectw_shared.config import ConfigError, load, schema

Port = Annotated[int, Meta(ge=0, le=65535)]


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    low: Port = 1
    high: int = 10

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("low is above high")


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of every shape that the programs use."""

    host: Annotated[str, Meta(min_length=1)] = "localhost"
    port: Port = 8080
    data_dir: Path = Path("/var/lib/projectw")
    token: str | None = None
    token_file: Path | None = None
    limits: Limits = Limits()
    spare: Limits | None = None
    domains: list[Annotated[str, Meta(min_length=1)]] = []
    level: Literal["debug", "info"] = "info"
    workers: Annotated[int, Meta(ge=1)] | None = None
    factor: float = 1.0
    secure: bool = True
    weights: dict[str, int] = {}

    def __post_init__(self) -> None:
        if self.port == 666:
            raise ValueError("port: 666 is reserved")
        if self.port == 667:
            raise ValueError("667 is no port")


class Needy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    server_url: str


Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(text: str | bytes, name: str = "config.yaml") -> Path:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return file

    return write_file


def told(
    file: Path, kind: type[Any] = Settings, **options: Any
) -> dict[str, tuple[int | None, str, str | None]]:
    """Load ``file``, which is wrong, and return path → (line, message, nearest key)."""
    with pytest.raises(ConfigError) as caught:
        load("server", kind, config=file, environ=options.pop("environ", {}), **options)
    assert caught.value.file == file
    return {each.path: (each.line, each.message, each.nearest) for each in caught.value.mistakes}


# --- what it gives ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "server:\n", "---\n", "runner: {anything: goes}\n", "\ufeffserver: {}"]
)
def test_what_is_not_said_has_its_default(write: Write, text: str) -> None:
    assert load("server", Settings, config=write(text), environ={}).settings == Settings()


def test_values_of_every_kind_arrive_as_their_types(write: Write, tmp_path: Path) -> None:
    file = write(
        "server:\n  host: example.org\n  data_dir: data\n  token_file: /run/token\n  limits: {low: 2}\n"
        "  spare: {high: 7}\n  domains: [a, b]\n  level: debug\n  workers: 4\n  factor: 2\n  secure: false\n"
        "  weights: {x: 1}\n"
    )
    assert load("server", Settings, config=file, environ={}).settings == Settings(
        host="example.org",
        data_dir=tmp_path / "data",
        token_file=Path("/run/token"),
        limits=Limits(low=2),
        spare=Limits(high=7),
        domains=["a", "b"],
        level="debug",
        workers=4,
        factor=2.0,
        secure=False,
        weights={"x": 1},
    )


def test_a_home_folder_is_written_with_a_tilde(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    file = write("server: {data_dir: ~/projectw}")
    assert load("server", Settings, config=file, environ={}).settings.data_dir == Path("/home/ada/projectw")


def test_aliases_and_merged_sections_are_yaml_that_works(write: Write) -> None:
    file = write("server:\n  limits: &l {low: 3}\n  spare:\n    <<: *l\n    high: 9\n")
    settings = load("server", Settings, config=file, environ={}).settings
    assert (settings.limits, settings.spare) == (Limits(low=3), Limits(low=3, high=9))


def test_what_the_command_line_says_wins_over_the_file(write: Write, tmp_path: Path) -> None:
    file = write("server: {port: 1, host: a, limits: {low: 2, high: 3}}")
    given = {"port": 2, "host": None, "limits.high": 5, "limits": {"low": 4}, "data_dir": Path("x")}
    settings = load("server", Settings, config=file, environ={}, overrides=given).settings
    assert (settings.port, settings.host, settings.limits) == (2, "a", Limits(low=4, high=5))
    assert settings.data_dir == Path.cwd() / "x"


def test_what_the_command_line_says_is_checked_and_blames_no_line(write: Write) -> None:
    file = write("server:\n  port: 1\n")
    mistakes = told(file, overrides={"port": 70000, "limits.lo": 1})
    assert mistakes["server.port"] == (
        None,
        "expected a whole number from 0 to 65535, found the number 70000",
        None,
    )
    assert mistakes["server.limits.lo"] == (None, "there is no such setting", "low")


# --- !ENV -------------------------------------------------------------------------------------------------


def test_variables_become_the_type_that_the_setting_wants(write: Write) -> None:
    file = write(
        "server:\n  port: !ENV ${PORT:1}\n  host: !ENV 'x.${HOST}:${PORT:1}'\n  secure: !ENV ${SECURE:yes}\n"
        "  factor: !ENV ${FACTOR}\n  workers: !ENV ${WORKERS}\n  domains: !ENV ${DOMAINS}\n"
        "  token: !ENV ${TOKEN}\n  weights: {a: !ENV '${PORT}'}\n  spare: {low: !ENV '${LOW:2}'}\n"
    )
    environ = {
        "PORT": "99", "HOST": "y", "SECURE": "off", "FACTOR": "0.5", "WORKERS": "", "DOMAINS": "a, b", "TOKEN": "123",
    }  # fmt: skip
    settings = load("server", Settings, config=file, environ=environ).settings
    assert (settings.port, settings.host, settings.secure) == (99, "x.y:99", False)
    assert (settings.factor, settings.workers, settings.domains) == (0.5, None, ["a", "b"])
    assert (settings.token, settings.weights, settings.spare) == ("123", {"a": 99}, Limits(low=2))


def test_an_unset_variable_is_named_with_its_line(write: Write) -> None:
    mistakes = told(write("server:\n  host: a\n  token: !ENV ${TOKEN}\n  domains: [!ENV '${A}']\n"))
    line, message, _ = mistakes["server.token"]
    assert line == 3
    assert message.startswith("the environment variable TOKEN is not set")
    assert mistakes["server.domains[0]"][0] == 4


def test_an_unset_variable_does_not_hide_other_mistakes_and_is_told_once(write: Write) -> None:
    file = write(
        "server:\n  port: !ENV ${PORT}\n  prot: 1\n  limits: {low: !ENV '${LOW}'}\n  server_url: x\n"
    )
    assert {path: line for path, (line, _, _) in told(file).items()} == {
        "server.port": 2,
        "server.prot": 3,
        "server.limits.low": 4,
        "server.server_url": 5,
    }
    assert list(told(write("server:\n  server_url: !ENV ${URL}\n"), Needy)) == ["server.server_url"]


def test_a_variable_that_only_another_program_needs_may_be_unset(write: Write) -> None:
    file = write("server: {port: 2}\nrunner: {token: !ENV '${TOKEN}'}\n")
    assert load("server", Settings, config=file, environ={}).settings.port == 2


def test_an_unset_variable_is_found_through_an_alias_of_another_section(write: Write) -> None:
    file = write("runner: &shared {token: !ENV '${TOKEN}'}\nserver:\n  <<: *shared\n  port: 1\n")
    line, message, _ = told(file)["server.token"]
    assert line == 1
    assert message.startswith("the environment variable TOKEN is not set")


def test_a_variable_whose_value_does_not_fit_is_a_mistake_like_any_other(write: Write) -> None:
    mistakes = told(write("server:\n  port: !ENV ${PORT}\n"), environ={"PORT": "many"})
    assert mistakes["server.port"] == (
        2,
        "expected a whole number from 0 to 65535, found the text 'many'",
        None,
    )


@pytest.mark.parametrize("value", ["${X:}", "plain", "[a]"])
def test_an_env_tag_that_pyaml_env_would_misread_is_a_mistake(write: Write, value: str) -> None:
    assert told(write(f"server:\n  host: !ENV {value}\n"))["server.host"][0] == 2


def test_reading_leaves_the_global_yaml_loader_as_it_was(write: Write) -> None:
    load("server", Settings, config=write("server: {port: !ENV '${P:1}'}"), environ={})
    with pytest.raises(yaml.constructor.ConstructorError):
        yaml.safe_load("!ENV ${HOME}")


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system", "!include", "!!python/name:os.system"])
def test_no_other_tag_is_followed(write: Write, tag: str) -> None:
    line, message, _ = told(write(f"server:\n  host: {tag} x\n"))["server.host"]
    assert (line, message) == (2, f"the tag {tag} is not known here; the only one is !ENV")


# --- mistakes ---------------------------------------------------------------------------------------------


def test_all_mistakes_are_told_at_once_each_with_its_line_and_what_was_expected(write: Write) -> None:
    mistakes = told(
        write(
            "srver: {}\n"
            "server:\n"
            "  prot: 1\n"
            "  port: 99999\n"
            "  host: 12\n"
            "  data_dir: ''\n"
            "  limits:\n"
            "    hihg: 1\n"
            "  spare: {low: x}\n"
            "  domains: [a, '']\n"
            "  level: loud\n"
            "  workers: 0\n"
            "  secure: 'no'\n"
            "  weights: {x: y}\n"
            "  factor: 2.5.1\n"
        )
    )
    assert mistakes == {
        "srver": (1, "there is no such section; the sections are server, runner, tui", "server"),
        "server.prot": (3, "there is no such setting", "port"),
        "server.port": (4, "expected a whole number from 0 to 65535, found the number 99999", None),
        "server.host": (
            5,
            "expected text of at least 1 character, found the number 12; put it in quotes if it is meant as text",
            None,
        ),
        "server.data_dir": (6, "expected a path, found the text ''", None),
        "server.limits.hihg": (8, "there is no such setting", "high"),
        "server.spare.low": (9, "expected a whole number from 0 to 65535, found the text 'x'", None),
        "server.domains[1]": (10, "expected text of at least 1 character, found the text ''", None),
        "server.level": (11, "expected one of 'debug', 'info', found the text 'loud'", None),
        "server.workers": (12, "expected a whole number of at least 1 or null, found the number 0", None),
        "server.secure": (13, "expected true or false, found the text 'no'", None),
        "server.weights.x": (14, "expected a whole number, found the text 'y'", None),
        "server.factor": (15, "expected a number, found the text '2.5.1'", None),
    }


def test_the_text_names_the_file_and_has_one_line_a_mistake(write: Write) -> None:
    file = write("server:\n  prot: 1\n  level: x\n")
    with pytest.raises(ConfigError) as caught:
        load("server", Settings, config=file, environ={})
    assert str(caught.value).splitlines() == [
        f"{file}: 2 mistakes",
        "  line 2: server.prot: there is no such setting; did you mean 'port'?",
        "  line 3: server.level: expected one of 'debug', 'info', found the text 'x'",
    ]


def test_a_setting_outside_its_section_is_sent_home(write: Write) -> None:
    assert told(write("port: 1\n"))["port"][2] == "server.port"


def test_a_dash_for_an_underscore_is_understood_as_a_near_miss(write: Write) -> None:
    assert told(write("server: {data-dir: x}\n"))["server.data-dir"][2] == "data_dir"


def test_a_key_that_resembles_none_gets_the_list_of_all(write: Write) -> None:
    _, message, nearest = told(write("server: {limits: {zzz: 1}}"))["server.limits.zzz"]
    assert (message, nearest) == ("there is no such setting; here are high, low", None)


def test_a_required_setting_that_is_missing_is_named(write: Write) -> None:
    assert told(write("server: {}\n"), Needy) == {
        "server.server_url": (1, "is required; expected text", None)
    }


def test_a_section_of_another_program_is_not_looked_into(write: Write) -> None:
    file = write("server: {port: 2}\nrunner: {no: such}\ntui: 5\n")
    assert load("server", Settings, config=file, environ={}).settings.port == 2


@pytest.mark.parametrize("setting", ["token", "database_url", "signing_key"])
def test_a_value_that_may_be_a_secret_is_not_repeated(write: Write, setting: str) -> None:
    kind = msgspec.defstruct(
        "Secretive", [(setting, Annotated[str, Meta(max_length=3)])], forbid_unknown_fields=True
    )
    (message,) = [each[1] for each in told(write(f"server: {{{setting}: hunter2}}"), kind).values()]
    assert message == "expected text of at most 3 characters, found a text"


def test_a_number_is_repeated_although_a_secrets_name_begins_its_own(write: Write) -> None:
    kind = msgspec.defstruct(
        "Timed", [("access_token_minutes", Annotated[float, Meta(ge=15)])], forbid_unknown_fields=True
    )
    (message,) = [each[1] for each in told(write("server: {access_token_minutes: 5}"), kind).values()]
    assert message == "expected a number of at least 15, found the number 5"


def test_control_characters_of_a_value_do_not_reach_the_terminal(write: Write) -> None:
    message = told(write('server: {level: "\\e[2J"}'))["server.level"][1]
    assert "\x1b" not in message


def test_rules_of_the_types_themselves_are_mistakes_with_their_place(write: Write) -> None:
    mistakes = told(write("server:\n  limits: {low: 20}\n  spare:\n    low: 30\n"))
    assert mistakes == {
        "server.limits.low": (2, "low is above high", None),
        "server.spare.low": (4, "low is above high", None),
    }
    assert told(write("server:\n  host: a\n  port: 666\n")) == {"server.port": (3, "666 is reserved", None)}
    assert told(write("server:\n  host: a\n  port: 667\n")) == {"server": (1, "667 is no port", None)}


def test_mistakes_against_the_schema_do_not_hide_those_against_the_rules_of_the_types(write: Write) -> None:
    text = "server:\n  prot: 1\n  limits: {low: 20}\n  spare: {lwo: 1, low: 30}\n  domains: [a, '']\n"
    assert {path: line for path, (line, _, _) in told(write(text)).items()} == {
        "server.prot": 2,
        "server.limits.low": 3,
        "server.spare.lwo": 4,
        "server.spare.low": 4,
        "server.domains[1]": 5,
    }


def test_a_home_folder_that_does_not_exist_is_a_mistake(write: Write) -> None:
    line, message, _ = told(write("server:\n  data_dir: ~nobody-of-this-name/x\n"))["server.data_dir"]
    assert line == 2
    assert "home folder" in message


def test_a_path_that_no_system_takes_is_a_mistake(write: Write) -> None:
    line, message, _ = told(write('server:\n  data_dir: "/srv/a\\0b"\n'))["server.data_dir"]
    assert line == 2
    assert "NUL" in message


@pytest.mark.parametrize(
    ("text", "path", "line", "message"),
    [
        ("server:\n  port: [1\nx: }\n", "", 3, "is not valid YAML"),
        ("server:\n\tport: 1\n", "", 2, "is not valid YAML: a tab; YAML is indented with spaces"),
        (b"server:\n  host: \xff\n", "", 2, "this is not UTF-8"),
        ("server:\n  host: \x01\n", "", 2, "a control character"),
        ("- server\n", "", 1, "expected sections"),
        ("just words\n", "", 1, "expected sections"),
        ("server: 5\n", "server", 1, "expected a section of settings, found the number 5"),
        ("server: {}\n---\nserver: {}\n", "", 2, "is not valid YAML"),
        ("server:\n  port: 1\n  port: 2\n", "server.port", 3, "stands here a second time, first on line 2"),
        ("server: {port: 1, port: 1}\n", "server.port", 1, "stands here a second time, first on line 1"),
        ("server: {}\nserver: {}\n", "server", 2, "stands here a second time, first on line 1"),
        ("server:\n  host: 2020-01-31\n", "server.host", 2, "found the date 2020-01-31; put it in quotes"),
        ("server:\n  host: 2020-13-31\n", "", None, "is not valid YAML"),
        ("server:\n  factor: .inf\n", "server.factor", 2, "expected a finite number, found inf"),
        ("server:\n  weights:\n    5: 1\n", "server.weights.5", 3, "the key 5 is no text"),
        ("server:\n  ? [a, b]\n  : 1\n", "server", 2, "a key is one word"),
        ("server:\n  port: 80.0\n", "server.port", 2, "expected a whole number from 0 to 65535"),
        ("server:\n  host: !!binary aGk=\n", "server.host", 2, "expected text"),
        ("server: &a\n  limits: *a\n", "server.limits", 1, "this alias contains itself"),
        ("server:\n  limits: *b\n", "", 2, "is not valid YAML"),
        ("[" * 3000, "", None, "is not valid YAML"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_sound_yaml_is_told_with_its_line(
    write: Write, text: str, path: str, line: int | None, message: str
) -> None:
    mistakes = told(write(text))
    assert list(mistakes) == [path]
    assert mistakes[path][0] == line
    assert mistakes[path][1].startswith(message)


def test_a_file_that_cannot_be_read_is_told(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write("server: {}")

    def refuse(_file: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert told(file) == {"": (None, "cannot be read: Permission denied", None)}


# --- the schema -------------------------------------------------------------------------------------------


def test_the_schema_describes_the_whole_file_closed_and_with_defaults() -> None:
    document = schema({"server": Settings, "runner": Needy})
    assert document["$schema"].endswith("2020-12/schema")
    assert set(document["properties"]) == {"server", "runner"}
    assert document["additionalProperties"] is False
    settings = document["$defs"]["Settings"]
    assert settings["additionalProperties"] is False
    assert settings["description"] == Settings.__doc__
    defaults = {name: value["default"] for name, value in settings["properties"].items()}
    assert defaults == msgspec.to_builtins(Settings(), enc_hook=str)
    assert document["$defs"]["Needy"]["required"] == ["server_url"]
