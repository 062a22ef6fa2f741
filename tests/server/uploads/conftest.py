"""A place to receive recordings in."""

from collections.abc import Callable
from pathlib import Path

import pytest

from projectw_server.settings import ServerSettings
from projectw_server.storage.folder import FolderStore
from projectw_server.uploads.receiving import Receiving

MIB = 1024 * 1024


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "recordings")


@pytest.fixture
def receiving(store: FolderStore) -> Receiving:
    return Receiving(store, ServerSettings(max_upload_bytes=8 * MIB, min_free_bytes=0))


@pytest.fixture
def stored(store: FolderStore) -> Callable[[], list[str]]:
    """Tell the names of all files in the storage, the partial ones too."""

    def names() -> list[str]:
        return sorted(path.name for path in store._root.rglob("*") if path.is_file())

    return names
