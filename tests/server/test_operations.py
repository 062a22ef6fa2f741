"""What operators and their machines ask."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families
from quart import Quart
from quart.typing import TestClientProtocol as Client

from projectw_server.api.context import EXTENSION, Services
from projectw_server.settings import ServerSettings
from projectw_shared import __version__, routes

TOKEN = "the-metrics-token-of-this-test"


async def test_about_says_what_the_server_accepts(client: Client, settings: ServerSettings) -> None:
    about = await (await client.get("/api/about")).get_json()
    assert about["name"] == settings.name
    assert about["version"] == __version__
    assert about["max_upload_bytes"] == settings.max_upload_bytes
    assert "tiny.en" in about["models"]
    assert set(about["formats"]) == {"txt", "srt", "vtt", "tsv", "json", "md"}
    assert about["signup"] == "closed"


async def test_a_server_that_lives_and_can_work_says_so(client: Client) -> None:
    for path in ("/healthz", "/readyz"):
        answer = await client.get(path)
        assert answer.status_code == 200
        assert await answer.get_json() == {"status": "ok"}


async def test_a_server_that_cannot_work_says_which_part_and_not_why(
    app: Quart, client: Client, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> dict[str, str | None]:
        return {"database": None, "storage": "/srv/secret/place is read-only"}

    monkeypatch.setattr(services.health, "check", check)
    answer = await client.get("/readyz")
    document = await answer.get_json()
    assert answer.status_code == 503
    assert document["components"] == ["storage"]
    assert "storage" in document["detail"]
    assert "secret" not in str(document)
    assert int(answer.headers["Retry-After"]) >= 1
    assert (await client.get("/healthz")).status_code == 200


async def read_metrics(client: Client, headers: dict[str, str]) -> dict[tuple[str, str], float]:
    answer = await client.get("/metrics", headers=headers)
    assert answer.status_code == 200
    assert answer.content_type.startswith("text/plain; version=0.0.4")
    families = text_string_to_metric_families(await answer.get_data(as_text=True))
    return {
        (sample.name, ",".join(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
    }


async def test_metrics_count_jobs_and_runners(
    client: Client, services: Services, admin: Any, user: Any, runner: Any
) -> None:
    before = await read_metrics(client, admin.headers)
    assert before["projectw_jobs", "queued"] == 0
    assert before["projectw_runners_known", ""] == 1
    assert before["projectw_runners_online", ""] == 0
    assert before["projectw_build_info", __version__] == 1
    assert before["process_resident_memory_bytes", ""] > 0
    submitted = await client.post(
        "/api/jobs?file_name=a.wav",
        headers=user.headers | {"Content-Type": "audio/wav"},
        data=b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00" + bytes(40),
    )
    assert submitted.status_code == 201
    registration = {"name": "a", "version": "1", "engine": "whisper", "device": "cpu", "models": ["tiny"]}
    await client.post("/api/runners/register", headers=runner.headers, json=registration)
    after = await read_metrics(client, admin.headers)
    assert after["projectw_jobs", "queued"] == 1
    assert after["projectw_runners_online", ""] == 1


@pytest.fixture
def with_token(app: Quart, services: Services) -> Iterator[None]:
    app.extensions[EXTENSION] = replace_settings(services, metrics_token=TOKEN)
    yield


def replace_settings(services: Services, **changes: Any) -> Services:
    return type(services)(**{**vars(services), "settings": replace(services.settings, **changes)})


async def test_the_metrics_token_opens_the_metrics_and_nothing_else(client: Client, with_token: None) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    await read_metrics(client, headers)
    for path in ("/api/users/me", "/api/runners", "/api/jobs"):
        assert (await client.get(path, headers=headers)).status_code == 401
    for wrong in (TOKEN[:-1], TOKEN + "x", "ä"):
        assert (await client.get("/metrics", headers={"Authorization": f"Bearer {wrong}"})).status_code == 401


async def test_without_a_metrics_token_an_empty_one_opens_nothing(client: Client) -> None:
    for token in ("", "None"):
        answer = await client.get("/metrics", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for each in node.values():
            yield from references(each)
    elif isinstance(node, list):
        for each in node:
            yield from references(each)


@pytest.fixture
async def document(client: Client) -> dict[str, Any]:
    answer = await client.get("/openapi.json")
    assert answer.content_type == "application/json"
    found: dict[str, Any] = await answer.get_json()
    return found


async def test_the_document_describes_every_route_with_its_door(app: Quart, document: dict[str, Any]) -> None:
    described = {(method.upper(), path) for path, each in document["paths"].items() for method in each}
    doors = [app.view_functions[rule.endpoint].door for rule in app.url_map.iter_rules()]
    assert described == {(door.method, door.path) for door in doors}
    for door in doors:
        operation = document["paths"][door.path][door.method.lower()]
        assert operation["summary"]
        assert bool(operation["security"]) == (door.who.value != "anyone")
        assert ("401" in operation["responses"]) == (door.who.value != "anyone")
        assert [status for status in operation["responses"] if status.startswith("2")]
        problem = operation["responses"]["default"]["content"]["application/problem+json"]
        assert problem["schema"] == {"$ref": "#/components/schemas/Problem"}


async def test_the_document_is_whole(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    schemas = document["components"]["schemas"]
    for reference in set(references(document)):
        prefix, _, name = reference.rpartition("/")
        assert prefix == "#/components/schemas"
        assert name in schemas
    for schema in schemas.values():
        jsonschema.Draft202012Validator.check_schema(schema)
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    ids = [operation["operationId"] for operation in operations]
    assert len(set(ids)) == len(ids)
    for path, methods in document["paths"].items():
        for operation in methods.values():
            named = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
            assert named == set(re.findall(r"{(\w+)}", path))
            for name in {scheme for need in operation["security"] for scheme in need}:
                assert name in document["components"]["securitySchemes"]


async def test_answers_are_what_the_document_says(
    client: Client, document: dict[str, Any], user: Any
) -> None:
    for path in ("/api/about", "/api/users/me", "/api/jobs"):
        answers = document["paths"][path]["get"]["responses"]
        schema = answers["200"]["content"]["application/json"]["schema"]
        whole = {**schema, "components": document["components"]}
        body = await (await client.get(path, headers=user.headers)).get_json()
        jsonschema.Draft202012Validator(whole).validate(body)


@pytest.mark.parametrize("path", [routes.JOB_AUDIO, routes.RUNNER_AUDIO])
async def test_parts_of_recordings_are_in_the_document(document: dict[str, Any], path: str) -> None:
    door = document["paths"][path]["get"]
    assert {"Range", "If-Range", "If-None-Match"} <= {each["name"] for each in door["parameters"]}
    assert door["responses"]["206"]["content"] == door["responses"]["200"]["content"]
    assert "content" not in door["responses"]["304"]


async def test_requests_forbid_unknown_fields_in_the_document_too(document: dict[str, Any]) -> None:
    assert document["components"]["schemas"]["LoginRequest"]["additionalProperties"] is False


async def test_the_page_shows_every_route_and_asks_no_other_host(
    client: Client, document: dict[str, Any]
) -> None:
    answer = await client.get("/docs")
    page = await answer.get_data(as_text=True)
    assert answer.content_type == "text/html; charset=utf-8"
    for path in document["paths"]:
        assert path in page
    assert "<script" not in page
    assert not re.search(r"(src|href|url|@import)\s*[=(]?\s*[\"']?\s*(https?:)?//", page)
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy


async def test_quart_schemas_own_pages_are_not_there(client: Client) -> None:
    for path in ("/redocs", "/scalar", "/docs/", "/openapi.yaml"):
        assert (await client.get(path)).status_code == 404


def test_the_page_and_its_style_are_in_the_package() -> None:
    import projectw_server.api

    pages = Path(projectw_server.api.__file__ or "").parent / "pages"
    assert {file.name for file in pages.iterdir()} == {"docs.html", "docs.css"}
