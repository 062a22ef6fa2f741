"""The tree of errors and its way over the wire."""

import re
from typing import Any

import msgspec
import pytest

from projectw_shared import errors
from projectw_shared.errors import (
    BadRequest,
    Conflict,
    Gap,
    Internal,
    LeaseLost,
    NotFound,
    ProjectWError,
    TooManyRequests,
    Unavailable,
    Unreachable,
    every_error,
    from_problem,
    to_problem,
)

OURS = [kind for kind in every_error() if kind.__module__ == errors.__name__]
SENT = [kind for kind in OURS if kind not in (ProjectWError, Unreachable)]


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes() -> None:
    drawn: dict[str, tuple[str, int]] = {}
    above: list[tuple[str, int]] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"    (?P<rail>[│├└─ ]*)(?P<name>[A-Z]\w+)(?: (?P<status>\d{3})| \(.*)?$", line)
        if not match:
            continue
        depth = len(match["rail"]) // 4
        parent, inherited = above[depth - 1] if depth else ("", 500)
        status = int(match["status"] or (0 if match["name"] == "Unreachable" else inherited))
        above[depth:] = [(match["name"], status)]
        drawn[match["name"]] = (parent, status)
    assert drawn == {
        kind.__name__: (kind.__base__.__name__ if kind is not ProjectWError else "", kind.status)  # type: ignore[union-attr]
        for kind in OURS
    }


def test_codes_are_stable_words_one_for_each_class() -> None:
    codes = [kind.code for kind in OURS if kind is not ProjectWError]
    assert len(codes) == len(set(codes))
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", code) for code in codes)


@pytest.mark.parametrize("kind", SENT)
def test_every_error_comes_back_as_what_was_raised(kind: type[ProjectWError]) -> None:
    sent = kind("the sentence", retry_after=7, next=3, self="odd", detail_of="x")
    body = msgspec.json.encode(to_problem(sent))
    back = from_problem(kind.status, body, retry_after=7)
    assert type(back) is kind
    assert (back.detail, str(back), back.retry_after) == ("the sentence", "the sentence", 7)
    assert back.extensions == {"next": 3, "self": "odd", "detail_of": "x"}


def test_a_problem_has_the_members_of_the_rfc_and_extensions_cannot_replace_them() -> None:
    problem = to_problem(Gap(next=4, status=200, code="fine"))
    assert problem == {
        "type": "/problems/gap",
        "title": Gap.title,
        "status": 409,
        "detail": Gap.title,
        "code": "gap",
        "next": 4,
    }
    back = from_problem(409, msgspec.json.encode(problem))
    assert isinstance(back, Gap)
    assert back.next == 4


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (404, NotFound),
        (409, Conflict),
        (418, BadRequest),
        (429, TooManyRequests),
        (500, Internal),
        (502, Unavailable),
        (503, Unavailable),
        (504, Unavailable),
        (599, Internal),
    ],
)
@pytest.mark.parametrize(
    "body", [b"<html>proxy</html>", b"", b"[1]", b'{"code": "of-next-year"}', b'{"detail": null}']
)
def test_an_answer_that_is_no_problem_of_ours_becomes_the_class_of_its_status(
    status: int, kind: type[Any], body: bytes
) -> None:
    error = from_problem(status, body)
    assert type(error) is kind
    assert error.detail == f"{kind.title} (HTTP {status})"


def test_a_pause_is_the_server_s_word_else_the_class_s_own() -> None:
    assert TooManyRequests().retry_after == 1.0
    assert TooManyRequests(retry_after=5).retry_after == 5
    assert LeaseLost().retry_after is None


@pytest.mark.parametrize("body", [b'{"code":' + b"[" * 60_000, b'{"code": "\xff"}'])
def test_a_problem_that_no_decoder_bears_is_none(body: bytes) -> None:
    assert type(from_problem(404, body)) is NotFound


@pytest.mark.parametrize("said", ["", ',"next":"x"', ',"next":-1', ',"next":null'])
def test_a_gap_that_does_not_say_where_begins_at_the_start(said: str) -> None:
    error = from_problem(409, b'{"code":"gap"' + said.encode() + b"}")
    assert isinstance(error, Gap)
    assert error.next == 0
