"""Comparing what a file says with the schema of the settings: every mistake, in words."""

import datetime
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, TypeAlias, cast

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from projectw_shared.config.document import ENV_TAG, FromEnvironment, UnsetVariable
from projectw_shared.config.mistakes import Mistake, Place, dotted
from projectw_shared.config.schemas import alternatives, resolve
from projectw_shared.config.wording import expected, found

LineOf = Callable[[Place], int | None]
Blame: TypeAlias = tuple[Place, Mistake]

_TRUTH = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}

# To JSON Schema 8080.0 is an integer; to a reader of YAML, and to msgspec, it is not.
_Validator = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _checker, value: isinstance(value, int) and not isinstance(value, bool)
    ),
)


def check(
    values: Mapping[str, Any], schema: Mapping[str, Any], *, sections: Iterable[str], line_of: LineOf
) -> list[Blame]:
    """Return all that ``schema`` has against ``values``, each mistake with its place.

    Of the ``sections`` that the schema does not describe only the name is known: they belong to programs
    that may not be installed here.
    """
    checker = _Checker(schema, line_of)
    known = dict.fromkeys(sections)
    mistakes = [checker.unknown_section(name, known) for name in values if name not in known]
    for section, kind in schema["properties"].items():
        if section in values:
            mistakes += checker.section(section, values[section], kind)
    return mistakes


class _Checker:
    def __init__(self, root: Mapping[str, Any], line_of: LineOf) -> None:
        self._root = root
        self._line_of = line_of

    def section(self, name: str, value: Any, kind: Mapping[str, Any]) -> Iterator[Blame]:
        foreign = list(self._foreign(value, (name,)))
        yield from foreign
        blamed = {place for place, _ in foreign}
        validator = _Validator({**kind, "$defs": self._root["$defs"]})
        for error in validator.iter_errors(value):
            for place, mistake in self._in_words(error, (name, *error.absolute_path)):
                if place not in blamed:
                    yield place, mistake

    def unknown_section(self, name: Any, sections: Mapping[str, Any]) -> Blame:
        homes = [
            f"{section}.{name}"
            for section, kind in self._root["properties"].items()
            if name in resolve(kind, self._root).get("properties", ())
        ]
        nearest = next(iter(homes or _nearest(name, sections)), None)
        message = f"there is no such section; the sections are {', '.join(sections)}"
        return self._mistake((str(name),), message, nearest)

    def _in_words(self, error: ValidationError, place: Place) -> Iterator[Blame]:
        rule, schema = error.validator, cast("Mapping[str, Any]", error.schema)
        instance = cast("Any", error.instance)
        if rule == "additionalProperties" and schema[rule] is False:
            known = schema["properties"]
            yield from (self._unknown(place, key, known) for key in instance if key not in known)
        elif rule == "required":
            missing = [key for key in schema[rule] if key not in instance]
            yield from (self._missing(place, key, schema["properties"][key]) for key in missing)
        elif rule == "anyOf" and isinstance(instance, dict | list):
            yield from self._in_branches(error, place)
        else:
            yield self._unfit(schema, instance, place)

    def _in_branches(self, error: ValidationError, place: Place) -> Iterator[Blame]:
        """Descend into the branch that was meant: the one whose own type the value has."""
        inside = [
            each for each in error.context or () if not (each.validator == "type" and not each.relative_path)
        ]
        if not inside:
            yield self._unfit(cast("Mapping[str, Any]", error.schema), error.instance, place)
        for each in inside:
            yield from self._in_words(each, (*place, *each.relative_path))

    def _unfit(self, schema: Mapping[str, Any], instance: Any, place: Place) -> Blame:
        message = f"expected {expected(schema, self._root)}, found {found(instance, place)}"
        wants_text = any(branch.get("type") == "string" for branch in alternatives(schema, self._root))
        if wants_text and isinstance(instance, int | float):
            message += "; put it in quotes if it is meant as text"
        return self._mistake(place, message)

    def _unknown(self, place: Place, key: Any, known: Mapping[str, Any]) -> Blame:
        close = _nearest(key, known)
        message = "there is no such setting"
        if not close:
            message += f"; here are {', '.join(sorted(known))}"
        return self._mistake((*place, str(key)), message, close[0] if close else None)

    def _missing(self, place: Place, key: str, schema: Mapping[str, Any]) -> Blame:
        return self._mistake((*place, key), f"is required; expected {expected(schema, self._root)}")

    def _foreign(self, value: Any, place: Place) -> Iterator[Blame]:
        """Find what the schema would not tell in a helpful way: what YAML knows and JSON does not, and gaps."""
        if isinstance(value, dict):
            for key, inner in value.items():
                if not isinstance(key, str):
                    yield self._mistake((*place, str(key)), f"the key {key!r} is no text; put it in quotes")
                yield from self._foreign(inner, (*place, str(key)))
        elif isinstance(value, list):
            for index, inner in enumerate(value):
                yield from self._foreign(inner, (*place, index))
        elif isinstance(value, UnsetVariable):
            message = (
                f"the environment variable {value} is not set; set it, "
                f"or give a default as in {ENV_TAG} ${{{value}:default}}"
            )
            yield place, Mistake(dotted(place), value.line, message)
        elif isinstance(value, datetime.date):
            yield self._mistake(place, f"found the date {value}; put it in quotes")
        elif isinstance(value, float) and not math.isfinite(value):
            yield self._mistake(place, f"expected a finite number, found {value}")
        elif isinstance(value, bytes | set):
            yield self._mistake(place, "expected text, a number, true or false, a list or a section")

    def _mistake(self, place: Place, message: str, nearest: str | None = None) -> Blame:
        return place, Mistake(dotted(place), self._line_of(place), message, nearest)


def fit_environment(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    """Turn texts that came from variables into the numbers, truth values and lists that ``schema`` wants.

    What does not fit stays the text that it is, for the check to say so.
    """
    branches = list(alternatives(resolve(schema, root), root))
    if isinstance(value, FromEnvironment):
        return _fit(value, {branch.get("type") for branch in branches})
    if isinstance(value, dict):
        properties = {
            key: inner for branch in branches for key, inner in branch.get("properties", {}).items()
        }
        others = [branch["additionalProperties"] for branch in branches if "additionalProperties" in branch]
        other: Mapping[str, Any] = next((each for each in others if each), {})
        return {key: fit_environment(each, properties.get(key, other), root) for key, each in value.items()}
    if isinstance(value, list):
        item: Mapping[str, Any] = next((branch["items"] for branch in branches if "items" in branch), {})
        return [fit_environment(each, item, root) for each in value]
    return value


def _fit(text: str, types: set[Any]) -> Any:
    plain = str(text)
    if "string" in types or None in types:
        return plain
    if "boolean" in types and plain.lower() in _TRUTH:
        return _TRUTH[plain.lower()]
    if "array" in types:
        return [part.strip() for part in plain.split(",") if part.strip()]
    for kind, read in (("integer", int), ("number", float)):
        if kind in types:
            try:
                return read(plain)
            except ValueError:
                continue
    return None if "null" in types and not plain else plain


def _nearest(name: Any, known: Iterable[str]) -> list[str]:
    return get_close_matches(str(name).replace("-", "_").lower(), list(known), n=1)
