"""The entry of ``projectw-runner``, which says what to install when something is missing."""

import os
import sys

from projectw_shared import crashes
from projectw_shared.extras import missing_extra


def main() -> None:
    """Run the program and leave with its exit code."""
    crashes.prepare("projectw-runner")
    # Idle threads of torch would spin; it must be said before torch is imported for the first time.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        from projectw_runner.cli import main as run
    except ModuleNotFoundError as error:
        sys.exit(missing_extra(error, "runner", "projectw-runner"))
    sys.exit(run())


if __name__ == "__main__":
    main()
