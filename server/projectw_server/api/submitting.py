"""POST /api/jobs: a recording comes as the raw body or in a form, and is stored while it arrives."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import partial
from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from quart import Response, request

from projectw_server.accounts.principals import Person
from projectw_server.api.admission import Urgency
from projectw_server.api.context import services
from projectw_server.api.doors import Doors, about_job, arriving
from projectw_server.api.identity import Who
from projectw_server.api.recall import LOOKED_EVERY_SECONDS
from projectw_server.uploads.forms import FORM_OVERHEAD_BYTES
from projectw_server.uploads.receiving import file_name_of
from projectw_server.uploads.submitting import Submission
from projectw_shared import routes
from projectw_shared.errors import BadRequest, Invalid, ProjectWError, TooSlow, Unauthorized, UnsupportedMedia
from projectw_shared.jobs import JobSettings
from projectw_shared.messages import Job
from projectw_shared.strict import strict

doors = Doors("submitting")

Take = Callable[[int], None]
"""Counts the bytes of a piece, and raises when there is no room for them."""

MAX_KEY_CHARACTERS = 255

LINGER_SECONDS = 5.0
LINGER_BYTES = 256 * 1024 * 1024

WHAT_IS_TAKEN = (
    "send the recording as the raw body with Content-Type application/octet-stream (or audio/*, video/*), "
    "or as multipart/form-data with a part named 'file'"
)


class SubmitQuery(Struct, frozen=True):
    """The name of a raw body, and its settings as JSON."""

    file_name: Annotated[str, Meta(max_length=4096)] | None = None
    settings: Annotated[str, Meta(max_length=65536)] | None = None


@doors.door(
    "POST",
    routes.JOBS,
    Who.USER,
    query=SubmitQuery,
    accepts=("application/octet-stream", "audio/*", "video/*", "multipart/form-data"),
    headers=("Idempotency-Key",),
    gives=Job,
    status=201,
    urgency=Urgency.HEAVY,
)
async def create_job(person: Person, query: SubmitQuery) -> Response:
    """Submit a recording: as the raw body, or as multipart/form-data with ``file`` and optional ``settings``.

    The answer comes when the recording is safely stored and queued. With an Idempotency-Key a request that is
    sent again gives the first one's job.
    """
    try:
        job = await _submit(person, query, _idempotency_key())
    except TooSlow:
        raise
    except ProjectWError:
        await _linger()
        raise
    about_job(job.id)
    location = routes.JOB.format(id=job.id)
    return Response(msgspec.json.encode(job), 201, {"Location": location}, content_type="application/json")


async def _submit(person: Person, query: SubmitQuery, key: str | None) -> Job:
    submitting, jobs = services().submitting, services().jobs
    media_type = request.mimetype
    is_form = media_type == "multipart/form-data"
    if not is_form:
        _check_media_type(media_type)
    settings = None if query.settings is None else _settings(query.settings)
    if settings is not None:
        jobs.check_settings(person, settings)
    elif not is_form:
        settings = await services().changes.defaults(person)
    with submitting.reserve(person, key):
        # Otherwise it is received before it can be compared: what a form says stands in it.
        if key is not None and not is_form and request.content_length is not None:
            name = file_name_of(query.file_name or "")
            known = await jobs.find_submitted(
                person, key, name, settings or JobSettings(), size=request.content_length
            )
            if known is not None:
                await _linger()
                return known
        room = await jobs.room(person, key, request.content_length or 0)
        with submitting.arriving(person, room, beside=FORM_OVERHEAD_BYTES if is_form else 0) as take:
            receive = partial(_receive_form if is_form else _receive_raw, person, take)
            return await submitting.submit(person, key, lambda: receive(query, settings))


async def _receive_raw(
    person: Person, take: Take, query: SubmitQuery, settings: JobSettings | None
) -> Submission:
    name = file_name_of(query.file_name or "")
    received = await services().receiving.receive(
        _arriving(person, take), declared=request.content_length, file_name=name
    )
    return Submission(received, name, settings or JobSettings())


async def _receive_form(
    person: Person, take: Take, query: SubmitQuery, settings: JobSettings | None
) -> Submission:
    receiving = services().receiving
    received, name, written = await receiving.receive_form(
        _arriving(person, take), content_type=request.headers["Content-Type"], declared=request.content_length
    )
    try:
        if written is not None:
            settings = _settings(written)
        elif settings is None:
            settings = await services().changes.defaults(person)
    except ProjectWError:
        await receiving.discard(received.id)
        raise
    return Submission(received, file_name_of(query.file_name or name), settings or JobSettings())


async def _arriving(person: Person, take: Take) -> AsyncGenerator[bytes, None]:
    """Yield the body of the present request, counted, for as long as ``person`` may send it and has room for it."""
    found, looked = services(), time.monotonic()
    count = found.metrics.upload_bytes.inc
    async with aclosing(arriving()) as pieces:
        async for piece in pieces:
            count(len(piece))
            take(len(piece))
            if time.monotonic() - looked > LOOKED_EVERY_SECONDS:
                looked = time.monotonic()
                if not await found.is_good(person):
                    raise Unauthorized("The sign-in or the token has ended while the recording arrived")
            yield piece


def _settings(text: str) -> JobSettings:
    try:
        return msgspec.json.decode(text, type=strict(JobSettings))
    except msgspec.ValidationError as error:
        raise Invalid(f"The settings are not valid: {error}") from error
    except msgspec.DecodeError as error:
        raise Invalid(f"The settings are no JSON: {error}") from error


def _check_media_type(media_type: str) -> None:
    main = media_type.partition("/")[0]
    if media_type not in ("", "application/octet-stream") and main not in ("audio", "video"):
        raise UnsupportedMedia(f"A body of type {media_type} is no recording; {WHAT_IS_TAKEN}")


def _idempotency_key() -> str | None:
    """Return the Idempotency-Key, which may stand in quotes as its draft standard has it."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    key = key.strip().removeprefix('"').removesuffix('"')
    if not key or len(key) > MAX_KEY_CHARACTERS or not key.isprintable():
        raise BadRequest(f"An Idempotency-Key has 1 to {MAX_KEY_CHARACTERS} printable characters")
    return key


async def _linger() -> None:
    """Read on for a moment: a client that is cut off while it sends never sees the answer."""
    received = 0
    try:
        async with asyncio.timeout(LINGER_SECONDS):
            async for chunk in request.body:
                received += len(chunk)
                if received > LINGER_BYTES:
                    return
    except TimeoutError:
        return
