"""The server's own program on a disk that can be slow: ``python -m tests.chaos.slow_server ARGUMENTS…``.

While the file named by CHAOS_SLOW_DISK is there, each write and each sync of Python code takes the seconds that
stand in it. SQLite writes without Python; its slowness is that of another process which holds its lock.
"""

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from projectw_server.__main__ import main


def slowed(call: Callable[..., Any], flag: Path) -> Callable[..., Any]:
    """Return ``call``, preceded by the pause that the file ``flag`` asks for."""

    def wait_and_call(*arguments: Any) -> Any:
        with contextlib.suppress(FileNotFoundError):
            time.sleep(float(flag.read_text() or 0))
        return call(*arguments)

    return wait_and_call


if __name__ == "__main__":
    slow = Path(os.environ["CHAOS_SLOW_DISK"])
    os.fsync = slowed(os.fsync, slow)
    os.write = slowed(os.write, slow)
    main()
