"""Strict twins: the same types, unknown fields refused."""

from typing import Annotated, Any

import msgspec
import pytest

from projectw_shared.accounts import Login
from projectw_shared.messages import Heartbeat, HeldJob, Registration, Result
from projectw_shared.strict import strict

HEARTBEAT: dict[str, Any] = {
    "session": "s",
    "wait": 1,
    "job": {
        "id": "j",
        "lease": 1,
        "progress": 0,
        "first": 0,
        "segments": [{"id": 0, "start": 0, "end": 1, "text": ""}],
    },
}


class Leaf(msgspec.Struct, frozen=True):
    """A leaf."""

    size: Annotated[int, msgspec.Meta(ge=0)] = 3


class Tree(msgspec.Struct, frozen=True):
    """Leaves wherever a type can have them."""

    name: str
    one: Leaf
    maybe: Leaf | None = None
    many: list[Leaf] = []
    named: Annotated[dict[str, Leaf], msgspec.Meta(max_length=2)] = msgspec.field(default_factory=dict)
    pair: tuple[Leaf, int] | None = None


def test_a_twin_is_a_subclass_and_decodes_into_something_that_passes_for_the_type() -> None:
    decoded = msgspec.convert({"email": "a", "password": "b"}, strict(Login))
    assert isinstance(decoded, Login)
    assert (decoded.email, decoded.password) == ("a", "b")


@pytest.mark.parametrize("way", [(), ("job",), ("job", "segments", 0)])
def test_unknown_fields_are_refused_at_every_depth_by_the_twin_and_accepted_by_the_type(
    way: tuple[Any, ...],
) -> None:
    document = msgspec.json.decode(msgspec.json.encode(HEARTBEAT))
    assert msgspec.convert(document, strict(Heartbeat)).wait == 1
    inner = document
    for part in way:
        inner = inner[part]
    inner["novelty"] = 1
    assert msgspec.convert(document, Heartbeat).session == "s"
    with pytest.raises(msgspec.ValidationError, match="unknown field `novelty`"):
        msgspec.convert(document, strict(Heartbeat))


@pytest.mark.parametrize(
    "branch",
    [
        {"one": {"x": 1}},
        {"maybe": {"x": 1}},
        {"many": [{"x": 1}]},
        {"named": {"a": {"x": 1}}},
        {"pair": [{"x": 1}, 2]},
    ],
)
def test_structs_are_found_inside_every_kind_of_annotation(branch: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field `x`"):
        msgspec.convert({"name": "t", "one": {}, **branch}, strict(Tree))


def test_defaults_and_bounds_stay() -> None:
    assert msgspec.convert({"name": "t", "one": {}}, strict(Tree)) == strict(Tree)(
        name="t", one=strict(Leaf)()
    )
    with pytest.raises(msgspec.ValidationError, match=">= 0"):
        msgspec.convert({"name": "t", "one": {"size": -1}}, strict(Tree))


def test_rules_of_the_type_hold_in_the_twin() -> None:
    with pytest.raises(msgspec.ValidationError, match="either next"):
        msgspec.convert({"lease": 1}, strict(Result))
    with pytest.raises(msgspec.ValidationError, match="numbered one by one"):
        segment = {"id": 5, "start": 0, "end": 1, "text": ""}
        msgspec.convert({**HEARTBEAT["job"], "segments": [segment]}, strict(HeldJob))


def test_a_type_has_one_twin_with_a_name_of_its_own() -> None:
    assert strict(Registration) is strict(Registration)
    assert strict(Registration).__name__ == "RegistrationRequest"
    assert strict(Leaf).__doc__ == Leaf.__doc__
