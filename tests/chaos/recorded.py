"""A runner that speaks the recorded messages of a release, byte for byte but for ids, and reads no more than it did.

``messages/0.1.0/*.json`` are what the runner of that release sends. They stay as they are: a server that cannot live
with them would lose every runner that is not upgraded yet.
"""

import json
from pathlib import Path
from typing import Any, Self

import aiohttp

from tests.chaos.recordings import expected, length_of

FOLDER = Path(__file__).parent / "messages"


def message(name: str, release: str = "0.1.0", **values: Any) -> dict[str, Any]:
    """Return a recorded message with ``values`` in the places of the recorded ones."""
    recorded: dict[str, Any] = json.loads((FOLDER / release / f"{name}.json").read_text())
    for place, value in values.items():
        *way, last = place.split("__")
        target = recorded
        for step in way:
            target = target[step]
        assert last in target, f"{name} of {release} says nothing of {place}"
        target[last] = value
    return recorded


class RecordedRunner:
    """A runner of the release ``release``."""

    def __init__(self, url: str, token: str, release: str = "0.1.0") -> None:
        self.is_bare = False
        """Leave out all that may be left out, as a release would that does not know of it yet."""
        self._url = url
        self._release = release
        self._headers = {"Authorization": f"Bearer {token}"}

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(headers=self._headers, timeout=aiohttp.ClientTimeout(total=30))
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self._http.close()

    async def work(self, jobs: int) -> None:
        """Register, do so many jobs, and unregister. Raises AssertionError at any answer that is no success."""
        registered = await self._post("register", self._message("register"))
        session = registered["session"]
        for _ in range(jobs):
            assignment = None
            while assignment is None:
                idle = self._message("heartbeat-idle", session=session)
                assignment = (await self._post("heartbeat", idle))["job"]
            await self._do(session, assignment)
        await self._post("unregister", self._message("unregister", session=session))

    async def _do(self, session: str, job: dict[str, Any]) -> None:
        path = f"{self._url}/api/runners/jobs/{job['id']}/audio?lease={job['lease']}"
        async with self._http.get(path) as answer:
            assert answer.status == 200, await answer.text()
            assert len(await answer.read()) == job["bytes"]
        names: dict[str, Any] = {"session": session, "job__id": job["id"], "job__lease": job["lease"]}
        await self._post("heartbeat", self._message("heartbeat-working", **names))
        whole = expected(job["bytes"], job["settings"]["temperature"])
        for segment in whole[job["first"] :]:
            spoken = self._message(
                "heartbeat-segments", **names, job__first=segment.id, job__resume_at=segment.end
            )
            (recorded,) = spoken["job"]["segments"]
            recorded |= {
                "id": segment.id, "start": segment.start, "end": segment.end, "text": segment.text,
                "temperature": segment.temperature,
            }  # fmt: skip
            spoken["job"]["duration"] = length_of(job["bytes"])
            await self._post("heartbeat", spoken)
        result = self._message(
            "result", lease=job["lease"], next=len(whole), duration=length_of(job["bytes"])
        )
        await self._post(f"jobs/{job['id']}/result", result)

    def _message(self, name: str, **values: Any) -> dict[str, Any]:
        whole = message(name, self._release, **values)
        return _bare(whole) if self.is_bare else whole

    async def _post(self, what: str, body: dict[str, Any]) -> dict[str, Any]:
        async with self._http.post(f"{self._url}/api/runners/{what}", json=body) as answer:
            told = await answer.read()
            assert answer.status in (200, 204), told
            found: dict[str, Any] = json.loads(told) if told else {}
            return found


def _bare(value: Any) -> Any:
    if isinstance(value, list):
        return [_bare(each) for each in value]
    if isinstance(value, dict):
        return {name: _bare(each) for name, each in value.items() if each is not None}
    return value
