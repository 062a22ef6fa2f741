"""The line in front of the gate: requests that wait for their turn, unread."""

import asyncio
from collections import deque

from projectw_server.api.admission import Admission, Urgency

FROM_FIRST = (Urgency.IDLE, Urgency.ORDINARY, Urgency.HEAVY)


class Line:
    """Lets requests in as there is room: the most urgent first, and among those whoever came first."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._waiting: dict[Urgency, deque[asyncio.Future[None]]] = {each: deque() for each in FROM_FIRST}
        admission.on_room = self._call

    async def pass_through(self, urgency: Urgency, patience: float) -> bool:
        """Return True once a request may be worked on, which is counted then; False after ``patience`` seconds."""
        if self._admission.has_room(urgency):
            self._admission.enter(urgency)
            return True
        turn = asyncio.get_running_loop().create_future()
        self._waiting[urgency].append(turn)
        self._admission.line_up(urgency)
        try:
            await asyncio.wait([turn], timeout=patience)
        except asyncio.CancelledError:
            if turn.done():
                self._admission.leave(urgency)
            else:
                self._give_up(urgency, turn)
            raise
        if not turn.done():
            self._give_up(urgency, turn)
        return not turn.cancelled()

    def _give_up(self, urgency: Urgency, turn: asyncio.Future[None]) -> None:
        turn.cancel()
        self._waiting[urgency].remove(turn)
        self._admission.leave_line(urgency)

    def _call(self) -> None:
        for urgency in FROM_FIRST:
            while self._waiting[urgency] and self._admission.has_room(urgency):
                turn = self._waiting[urgency].popleft()
                self._admission.leave_line(urgency)
                # Counted here and not where it goes on, or the same room would be given away again.
                self._admission.enter(urgency)
                turn.set_result(None)
