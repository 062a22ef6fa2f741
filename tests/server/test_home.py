"""The data directory and its lock."""

from pathlib import Path

import pytest

from projectw_server.home import LOCK_FILE, HomeError, sole_server


def test_a_link_in_place_of_the_lock_is_refused_and_what_it_names_is_left_alone(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / LOCK_FILE).symlink_to(victim)
    with pytest.raises(HomeError, match="remove it"), sole_server(tmp_path):
        pass
    assert victim.read_text() == "precious"


def test_a_data_directory_has_one_server_at_a_time_and_then_another(tmp_path: Path) -> None:
    with sole_server(tmp_path), pytest.raises(HomeError, match="Another server"), sole_server(tmp_path):
        pass
    with sole_server(tmp_path):
        pass
