"""The ``projectw`` program: the full screen without a command, one command otherwise."""

import sys

from projectw_shared import crashes


def main() -> None:
    """Run the program and leave with its exit code."""
    crashes.prepare("projectw")
    try:
        from projectw_tui.cli.main import run
    except ModuleNotFoundError as error:
        from projectw_shared.extras import missing_extra

        sys.exit(missing_extra(error, "tui", "projectw"))
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
