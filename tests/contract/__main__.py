"""``python -m tests.contract``: explore the API for minutes, as everybody."""

import argparse
import random
import sys
import tempfile
from pathlib import Path

from tests.contract.exploring import Exploration


def main() -> int:
    """Explore, print a line for each caller, and the reports of those who found something."""
    parser = argparse.ArgumentParser(prog="python -m tests.contract", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="for each caller (default: 60)")
    parser.add_argument(
        "--examples", type=int, default=200, help="a route and kind of request (default: 200)"
    )
    parser.add_argument("--seed", type=int, default=random.randrange(2**31))
    given = parser.parse_args()
    print(f"seed {given.seed}")
    failed = False
    with tempfile.TemporaryDirectory(prefix="projectw-contract-") as folder:
        exploration = Exploration(Path(folder))
        try:
            exploration.begin()
            for caller in exploration.callers():
                found = exploration.explore(
                    caller, examples=given.examples, seconds=given.seconds, seed=given.seed
                )
                assert exploration.is_good(caller), f"the credential of {caller.name} ended"
                print(
                    f"{found.caller:<24} {found.requests:>7} requests  {'FAILED' if found.failed else 'nothing found'}"
                )
                if found.failed:
                    failed = True
                    print(found.report)
        finally:
            exploration.close()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
