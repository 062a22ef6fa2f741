"""Strict twins of the message types, for the side that must not guess."""

from functools import cache
from typing import Any, TypeVar

import msgspec
from msgspec.structs import FieldInfo, fields

from projectw_shared.annotations import rewritten

T = TypeVar("T")


def strict(kind: type[T]) -> type[T]:
    """Return a subclass of the Struct ``kind`` that refuses unknown fields, in every Struct inside it too.

    One definition so serves both sides: clients decode the type itself and overlook what they do not know,
    the server decodes the twin. Its name is the type's own with ``Request`` behind it.
    """
    twin: type[T] = _twin(kind)  # type: ignore[arg-type]  # a class is hashable, whatever T is
    return twin


@cache
def _twin(kind: Any) -> Any:
    return msgspec.defstruct(
        f"{kind.__name__}Request",
        [_field(field) for field in fields(kind)],
        bases=(kind,),
        frozen=True,
        forbid_unknown_fields=True,
        module=kind.__module__,
        namespace={"__doc__": kind.__doc__},
    )


def _field(field: FieldInfo) -> tuple[str, Any] | tuple[str, Any, Any]:
    kind = rewritten(field.type, _strict_inside)
    if field.default_factory is not msgspec.NODEFAULT:
        return field.name, kind, msgspec.field(default_factory=field.default_factory)
    if field.default is not msgspec.NODEFAULT:
        return field.name, kind, field.default
    return field.name, kind


def _strict_inside(kind: Any) -> Any:
    return _twin(kind) if isinstance(kind, type) and issubclass(kind, msgspec.Struct) else kind
