"""Where the server is in its life: starting, serving, or about to leave."""

from enum import Enum


class Stage(Enum):
    """A stage of the server's life; only in the second does it want requests."""

    STARTING = "starting"
    SERVING = "serving"
    STOPPING = "stopping"


class Lifetime:
    """Goes through the stages, never back."""

    def __init__(self) -> None:
        self.stage = Stage.STARTING

    def begin(self) -> None:
        """All that has to be done before the first request is done."""
        if self.stage is Stage.STARTING:
            self.stage = Stage.SERVING

    def leave(self) -> None:
        """The server was told to stop: a balancer should send nobody here any more."""
        self.stage = Stage.STOPPING
