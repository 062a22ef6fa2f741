"""Before the gate: is the request for this server, and may the page that sends it read the answer?"""

from projectw_server.api.access import DOOR, Application, Message, Receive, Scope, Send
from projectw_server.api.admission import Urgency
from projectw_server.api.cors import Cors
from projectw_server.api.doors import Door
from projectw_server.api.hosts import Hosts
from projectw_server.api.refusing import refuse
from projectw_shared.errors import BadRequest, Misdirected, ProjectWError

WRONG_HOST = (
    "This server does not answer under the name in the header Host; its operator sets public_url or allowed_hosts to "
    "the names by which people reach it"
)


class Front:
    """Stands between the access log and the gate."""

    def __init__(self, application: Application, hosts: Hosts, cors: Cors) -> None:
        self._application = application
        self._hosts = hosts
        self._cors = cors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        if (error := self._mistake(scope)) is not None:
            await refuse(send, error)
            return
        told = self._cors.headers(scope)

        async def answer(message: Message) -> None:
            if told and message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *told]}
            await send(message)

        if (allowed := self._cors.preflight(scope)) is not None:
            await answer({"type": "http.response.start", "status": 204, "headers": allowed})
            await answer({"type": "http.response.body", "body": b""})
            return
        await self._application(scope, receive, answer)

    def _mistake(self, scope: Scope) -> ProjectWError | None:
        given = [bytes(value) for name, value in scope["headers"] if name == b"host"]
        if not given and scope["http_version"] == "1.0":
            return None  # it has no such header, and no browser speaks it
        if len(given) != 1:
            return BadRequest("A request has one header Host")
        door: Door | None = scope.get(DOOR)
        probing = door is not None and door.urgency is Urgency.VITAL
        return (
            None
            if self._hosts.accepts(given[0].decode("latin-1"), probing=probing)
            else Misdirected(WRONG_HOST)
        )
