"""One YAML file for all three programs: found, read, checked, and turned into a settings type.

``load("server", ServerSettings)`` gives the settings of one program; the sections of the others are left
alone. Everything that is wrong is told at once, in one ``ConfigError``.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any, Generic, TypeVar, cast, get_args

import msgspec

from projectw_shared.config.checking import check, fit_environment
from projectw_shared.config.document import Document, read_document
from projectw_shared.config.mistakes import ConfigError, Mistake, Place, dotted
from projectw_shared.config.schemas import schema
from projectw_shared.config.search import find
from projectw_shared.config.secrets import ReadableByOthers, read_secret

__all__ = [
    "SECTIONS",
    "ConfigError",
    "Loaded",
    "Mistake",
    "ReadableByOthers",
    "load",
    "read_secret",
    "schema",
]

T = TypeVar("T")

SECTIONS = ("server", "runner", "tui")


@dataclass(frozen=True)
class Loaded(Generic[T]):
    """Settings, and the file that they come from; None when there is no file."""

    settings: T
    path: Path | None


def load(
    section: str,
    kind: type[T],
    *,
    config: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    overrides: Mapping[str, Any] | None = None,
) -> Loaded[T]:
    """Return the settings of ``section`` as the Struct ``kind``, or raise ConfigError with all mistakes.

    ``overrides`` are settings from the command line, by dotted names or nested (``{"port": 0}``); they win
    over the file, are checked like it, and None means that the flag was not given. A relative path counts
    from the folder of the file; one that comes as a ``Path`` in ``overrides`` from the current folder.
    """
    path = find(config, environ)
    document = read_document(path, environ) if path else Document({})
    given = dict(_flat(overrides or {}, (section,)))

    def line_of(place: Place) -> int | None:
        from_the_command_line = any(place[: len(each)] == each for each in given)
        return None if from_the_command_line else document.line_of(place)

    rules = schema({section: kind})
    values = _merged(document.values, section, given)
    values[section] = fit_environment(values[section], rules["properties"][section], rules)
    blamed = check(values, rules, sections=SECTIONS, line_of=line_of)
    convert = _Converter(path.parent.absolute() if path else Path.cwd(), line_of)
    # What is left without the mistakes is converted too, so that those against the types' own rules are told
    # with the others and not at the next start.
    sound = reduce(_without, (place for place, _ in blamed), values)
    settings = convert(sound[section], kind, (section,)) if isinstance(sound.get(section), dict) else None
    mistakes = [*(mistake for _, mistake in blamed), *convert.mistakes]
    if mistakes:
        raise ConfigError(mistakes, path)
    return Loaded(cast("T", settings), path)


class _Converter:
    """Values that fit the schema into Structs; collects what only the types' own rules refuse."""

    def __init__(self, folder: Path, line_of: Callable[[Place], int | None]) -> None:
        self._folder = folder
        self._line_of = line_of
        self.mistakes: list[Mistake] = []

    def __call__(self, values: dict[str, Any], kind: type[T], place: Place) -> T:
        # Parts first: each is converted for itself, so that one part's mistake does not hide the next one's.
        told = len(self.mistakes)
        for field in msgspec.structs.fields(kind):  # type: ignore[arg-type]  # T is a Struct
            part, inner = _struct_in(field.type), values.get(field.encode_name)
            if part is not None and isinstance(inner, dict):
                self(inner, part, (*place, field.encode_name))
        try:
            return msgspec.convert(values, kind, dec_hook=self._decode)
        except msgspec.ValidationError as error:
            missing = str(error).startswith("Object missing required field")  # the schema has told that
            if len(self.mistakes) == told and not missing:
                self._note(error, kind, place)
            return None  # type: ignore[return-value]  # never handed out: the mistakes are raised

    def _decode(self, kind: type, value: Any) -> Any:
        if kind is not Path:
            raise TypeError(f"settings cannot be of the type {kind.__name__}")
        if "\0" in str(value):
            raise ValueError("a path holds no NUL character")
        try:
            return self._folder / Path(value).expanduser()
        except RuntimeError as error:
            raise ValueError(f"{value} names a home folder that does not exist") from error

    def _note(self, error: msgspec.ValidationError, kind: type, place: Place) -> None:
        """Keep the mistake; a message that begins with the name of a setting is about that setting."""
        message, _, inside = str(error).partition(" - at `$")
        inside = inside.rstrip("`").lstrip(".")
        if inside:
            place = (*place, *inside.split("."))
        elif (first := message.partition(" ")[0]).rstrip(":") in kind.__struct_encode_fields__:  # type: ignore[attr-defined]
            place = (*place, first.rstrip(":"))
            message = message.removeprefix(f"{first} ") if first.endswith(":") else message
        self.mistakes.append(Mistake(dotted(place), self._line_of(place), message))


def _struct_in(annotation: Any) -> type[msgspec.Struct] | None:
    """Return the Struct in ``Limits`` or ``Limits | None``."""
    kinds = get_args(annotation) or (annotation,)
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, msgspec.Struct)), None)


def _merged(values: Mapping[str, Any], section: str, given: Mapping[Place, Any]) -> dict[str, Any]:
    """Return ``values`` with what was ``given`` put in, and with ``section`` there, if empty."""
    merged = {**values, section: {} if values.get(section) is None else values[section]}
    if isinstance(merged[section], Mapping):
        for place, value in given.items():
            merged = _put(merged, place, value)
    return merged


def _flat(values: Mapping[str, Any], place: Place) -> Iterator[tuple[Place, Any]]:
    """Yield each override with its place; what was not given (None) is left out."""
    for key, value in values.items():
        inner = (*place, *key.split("."))
        if isinstance(value, Mapping):
            yield from _flat(value, inner)
        elif isinstance(value, Path):
            yield inner, str(value.expanduser().absolute())
        elif value is not None:
            yield inner, list(value) if isinstance(value, tuple) else value


def _without(values: dict[str, Any], place: Place) -> dict[str, Any]:
    """Return ``values`` less what stands at ``place``; a list goes as a whole."""
    first, *rest = place
    inner = values.get(str(first))
    if rest and isinstance(inner, dict) and isinstance(rest[0], str):
        return {**values, str(first): _without(inner, tuple(rest))}
    return {key: value for key, value in values.items() if str(key) != first}


def _put(values: Mapping[str, Any], place: Place, value: Any) -> dict[str, Any]:
    """Return a copy of ``values`` with ``value`` at ``place``; sections on the way are made."""
    first, *rest = place
    inner = values.get(str(first))
    inner = inner if isinstance(inner, Mapping) else {}
    return {**values, str(first): _put(inner, tuple(rest), value) if rest else value}
