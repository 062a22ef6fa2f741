"""JSON Schema (Draft 2020-12) out of the settings types."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec.structs import FieldInfo, fields

from projectw_shared.annotations import rewritten

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_PathText = Annotated[str, msgspec.Meta(min_length=1, extra_json_schema={"format": "path"})]


def schema(kinds: Mapping[str, type]) -> dict[str, Any]:
    """Return the schema of a whole configuration file: section name → the type of its settings.

    Objects refuse unknown keys, and every setting that may be left out carries its default.
    """
    twins = {section: _Twins().of(kind) for section, kind in kinds.items()}
    references, definitions = msgspec.json.schema_components(twins.values(), ref_template="#/$defs/{name}")
    sections = {
        section: {**reference, "default": {}} for section, reference in zip(kinds, references, strict=True)
    }
    return {
        "$schema": DIALECT,
        "title": "Configuration of Project W",
        "type": "object",
        "properties": sections,
        "additionalProperties": False,
        "$defs": {name: _closed(definition) for name, definition in definitions.items()},
    }


def resolve(node: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow a ``$ref`` into the definitions of ``root``."""
    reference = node.get("$ref")
    return root["$defs"][reference.rpartition("/")[2]] if reference else node


def alternatives(node: Mapping[str, Any], root: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    """Yield what ``node`` allows: its branches where it has some, else itself."""
    for branch in node.get("anyOf", (node,)):
        yield resolve(branch, root)


def _closed(definition: dict[str, Any]) -> dict[str, Any]:
    return {**definition, "additionalProperties": False} if "properties" in definition else definition


class _Twins:
    """Twins of settings types that msgspec can write a schema of: a path is a text there.

    msgspec knows no ``Path`` and cannot write one as a default either.
    """

    def __init__(self) -> None:
        self._made: dict[Any, Any] = {}

    def of(self, kind: Any) -> Any:
        if kind is Path:
            return _PathText
        if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
            return kind
        if kind not in self._made:
            self._made[kind] = msgspec.defstruct(
                kind.__name__,
                [self._field(each) for each in fields(kind)],
                namespace={"__doc__": kind.__doc__},
                module=kind.__module__,
                kw_only=True,
            )
        return self._made[kind]

    def _field(self, field: FieldInfo) -> tuple[str, Any, Any]:
        kind = rewritten(field.type, self.of)
        if field.required:
            return field.encode_name, kind, msgspec.field()
        default = _plain(field)
        known = msgspec.Meta(extra_json_schema={"default": default})
        # The factory only makes the field optional: msgspec writes no default of its own for it.
        return field.encode_name, Annotated[kind, known], msgspec.field(default_factory=_nothing)


def _nothing() -> None:
    return None


def _plain(field: FieldInfo) -> Any:
    make: Callable[[], Any] = (
        field.default_factory if field.default_factory is not msgspec.NODEFAULT else lambda: field.default
    )
    return msgspec.to_builtins(make(), enc_hook=str)
