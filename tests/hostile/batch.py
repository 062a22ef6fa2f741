"""Runs many commands of one program on the terminal that it is started on, each in a process of its own.

A fork of a process that has imported everything begins at once. What is run is the program's own ``main``.
"""

import importlib
import json
import os
import sys
import traceback
import urllib.request
from pathlib import Path

BEGIN = "=====begin"


def main() -> None:
    """Do the steps in the file that the first argument names."""
    plan = json.loads(Path(sys.argv[1]).read_text())
    for module in plan["imports"]:
        importlib.import_module(module)
    module, _, function = plan["main"].partition(":")
    for number, step in enumerate(plan["steps"]):
        if step.get("tell"):
            request = urllib.request.Request(step["tell"], method="PUT")
            urllib.request.urlopen(request).close()
        sys.stdout.write(f"{BEGIN} {number}\n")
        sys.stdout.flush()
        child = os.fork()
        if not child:
            _become(module, function, step)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        sys.stdout.write(f"=====end {number} {code}\n")
        sys.stdout.flush()


def _become(module: str, function: str, step: dict[str, object]) -> None:
    if step.get("stdin") is not None:
        read, write = os.pipe()
        os.write(write, str(step["stdin"]).encode())
        os.close(write)
        os.dup2(read, 0)
    sys.argv = [
        "program",
        *(os.fsdecode(str(word).encode("utf-8", "surrogateescape")) for word in step["words"]),
    ]  # type: ignore[attr-defined]
    code = 99
    try:
        getattr(importlib.import_module(module), function)()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
