"""What is left of something in a folder that programs may be changing at this moment."""

import os
from collections.abc import Iterator
from pathlib import Path


def contents(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Yield every file below ``folder`` with its content, and every folder with none, in the order of paths.

    What vanishes between being listed and being read is passed over: `Path.rglob` and `Path.read_bytes` would
    raise for a file or folder of the moment. Links, pipes and sockets are passed over too.
    """
    for parent, folders, names in os.walk(folder):
        folders.sort()
        yield from ((Path(parent, name), b"") for name in folders)
        for path in (Path(parent, name) for name in sorted(names)):
            if path.is_file() and not path.is_symlink():
                try:
                    yield path, path.read_bytes()
                except FileNotFoundError:
                    continue


def paths_with(folder: Path, *words: bytes) -> list[Path]:
    """Return what lies below ``folder`` with one of ``words`` in its name or content."""
    return [
        path
        for path, content in contents(folder)
        if any(word in content or word in os.fsencode(path.name) for word in words)
    ]
