"""What each program leaves unloaded: a terminal opens in a blink, a GPU node needs no web framework."""

import subprocess
import sys

import pytest

HEAVY = {
    "torch",
    "whisper",
    "numba",
    "tiktoken",
    "faster_whisper",
    "ctranslate2",
    "tokenizers",
    "onnxruntime",
}
SERVER = {"quart", "tortoise", "uvicorn", "argon2", "projectw_server"}
NETWORK = {"aiohttp", "stamina"}
CONFIGURATION = {"yaml", "pyaml_env", "jsonschema"}


def loaded_by(module: str) -> set[str]:
    """Import ``module`` in a fresh interpreter; return the top-level names of all that was loaded."""
    code = f"import sys, {module}; print('\\n'.join({{name.partition('.')[0] for name in sys.modules}}))"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    return set(process.stdout.split())


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("projectw_tui.__main__", HEAVY | SERVER | {"projectw_runner"}),
        ("projectw_tui.app", HEAVY | SERVER | {"projectw_runner"}),
        ("projectw_runner.__main__", HEAVY | SERVER | {"textual", "projectw_tui"}),
        ("projectw_runner.agent", HEAVY | SERVER | {"textual", "projectw_tui"}),
        ("projectw_server.__main__", HEAVY | NETWORK | {"textual", "projectw_tui", "projectw_runner"}),
        ("projectw_server.app", HEAVY | NETWORK | {"textual", "projectw_tui", "projectw_runner"}),
        *(
            (f"projectw_shared.{name}", HEAVY | SERVER | NETWORK | CONFIGURATION)
            for name in (
                "addresses", "errors", "events", "exits", "extras", "formats", "ids", "jobs", "languages", "messages",
                "routes", "strict", "text", "transcripts",
            )
        ),
        ("projectw_shared.config", HEAVY | SERVER | NETWORK),
        ("projectw_shared.http", HEAVY | SERVER | CONFIGURATION),
    ],
)  # fmt: skip
def test_a_module_loads_nothing_of_the_other_programs(module: str, unwanted: set[str]) -> None:
    assert not loaded_by(module) & unwanted
