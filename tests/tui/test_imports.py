import subprocess
import sys

import pytest


def loaded_by(code: str) -> set[str]:
    """The top-level modules that a fresh interpreter has loaded after ``code``."""
    program = f"import sys\n{code}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    found = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    return set(found.stdout.split("\n")[-2].split())


@pytest.mark.parametrize("code", ["import projectw_tui.cli.main", "import projectw_tui.client"])
def test_a_command_loads_no_interface(code: str) -> None:
    assert not {"textual", "rich", "quart", "torch", "tortoise"} & loaded_by(code)


def test_help_loads_no_network_and_no_configuration() -> None:
    code = "from projectw_tui.cli.main import run\nassert run(['--help']) == 0"
    assert not {"aiohttp", "yaml", "jsonschema", "keyring", "platformdirs"} & loaded_by(code)


def test_the_interface_loads_neither_server_nor_engine() -> None:
    assert not {"quart", "tortoise", "torch", "whisper"} & loaded_by("import projectw_tui.app")


def test_a_missing_extra_is_named() -> None:
    """The packages of the extra are hidden, as on a machine where it is not installed."""
    code = "import sys\nsys.modules['click'] = None\nfrom projectw_tui.__main__ import main\nmain()"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 1
    assert "pip install 'project-w[tui]'" in ended.stderr
