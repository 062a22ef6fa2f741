"""Schemas and values in words, for people who edit a file and not a schema."""

from collections.abc import Mapping
from typing import Any

from projectw_shared.config.mistakes import Place
from projectw_shared.config.schemas import alternatives, resolve
from projectw_shared.secrecy import is_secret
from projectw_shared.text import safe, shorten

_SHOWN_CHARACTERS = 40


def expected(schema: Mapping[str, Any], root: Mapping[str, Any]) -> str:
    """Say what ``schema`` accepts: ``a whole number from 0 to 65535``."""
    schema = resolve(schema, root)
    if "anyOf" in schema:
        return " or ".join(expected(branch, root) for branch in alternatives(schema, root))
    if "enum" in schema:
        return _choice(schema["enum"])
    kind = schema.get("type")
    if kind == "array":
        item = expected(schema.get("items", {}), root)
        return f"a list{_length(schema, 'minItems', 'maxItems', 'entries')}, each {item}"
    if kind == "string":
        return _text(schema)
    words = {
        "integer": "a whole number",
        "number": "a number",
        "boolean": "true or false",
        "null": "null",
        "object": "a section of settings",
    }
    return words.get(str(kind), "a value") + _range(schema)


def found(value: Any, place: Place) -> str:
    """Say what stands there instead, without repeating what may be a secret."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a section"
    if isinstance(value, list):
        return "a list"
    kind = "the text" if isinstance(value, str) else "the number"
    # A message ends up in logs.
    if any(is_secret(str(part)) for part in place):
        return "a text" if isinstance(value, str) else "a number"
    shown = shorten(safe(str(value)), _SHOWN_CHARACTERS)
    return f"{kind} {shown!r}" if isinstance(value, str) else f"{kind} {shown}"


def _choice(values: list[Any]) -> str:
    if len(values) == 1:
        return repr(values[0])
    return "one of " + ", ".join("null" if value is None else repr(value) for value in values)


def _text(schema: Mapping[str, Any]) -> str:
    if schema.get("format") == "path":
        return "a path"
    words = {"date-time": "a time such as 2026-01-31T12:00:00Z", "duration": "a duration such as PT15M"}
    text = words.get(schema.get("format", ""), "text")
    if "pattern" in schema:
        text += f" of the form {schema['pattern']}"
    return text + _length(schema, "minLength", "maxLength", "characters")


def _length(schema: Mapping[str, Any], least: str, most: str, unit: str) -> str:
    low, high = schema.get(least), schema.get(most)
    if low is not None and high is not None:
        return f" of {low} to {high} {unit}"
    if low is not None:
        return f" of at least {low} {unit if low != 1 else unit.removesuffix('s').replace('ie', 'y')}"
    return f" of at most {high} {unit}" if high is not None else ""


def _range(schema: Mapping[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f" from {low} to {high}"
    bounds = (
        ("minimum", "of at least"),
        ("exclusiveMinimum", "above"),
        ("maximum", "of at most"),
        ("exclusiveMaximum", "below"),
    )
    limits = [f" {words} {schema[bound]}" for bound, words in bounds if bound in schema]
    return " and".join(limits)
