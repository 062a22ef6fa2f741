"""What the server, the runner and the terminal say to each other.

Light to import: msgspec and the standard library only. ``http`` alone does network, ``config`` alone
knows YAML and JSON Schema, and neither is imported by the other modules.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("project-w")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0.0.0"
