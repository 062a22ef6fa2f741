"""``projectw-server`` on a disk that takes only so much: ``python -m benchmarks.throttled_server MB_PER_SECOND …``."""

import sys
import time

from projectw_server.__main__ import main
from projectw_server.storage.folder import FolderStore


def throttle(bytes_per_second: float) -> None:
    """Let every write to the storage take as long as on a disk of that speed."""
    write_out = FolderStore.write_out

    def slowly(self: FolderStore, file: int, data: bytes) -> None:
        begun = time.monotonic()
        write_out(self, file, data)
        time.sleep(max(0.0, len(data) / bytes_per_second - (time.monotonic() - begun)))

    setattr(FolderStore, "write_out", slowly)  # noqa: B010  this process exists to have it slow


if __name__ == "__main__":
    throttle(float(sys.argv.pop(1)) * 1e6)
    main()
