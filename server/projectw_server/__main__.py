"""The console script ``projectw-server``."""

import os
import sys

from projectw_shared import crashes
from projectw_shared.exits import Exit
from projectw_shared.extras import missing_extra


def main() -> None:
    """Run the command line and leave with its exit code."""
    crashes.prepare("projectw-server")
    try:
        from projectw_server.cli import run
    except ModuleNotFoundError as error:
        sys.stderr.write(missing_extra(error, "server", "projectw-server") + "\n")
        sys.exit(Exit.FAILED)
    # The database, the key and the recordings are for this user alone, whatever the folder around them allows.
    os.umask(0o077)
    sys.exit(run())


if __name__ == "__main__":
    main()
