"""What the launcher keeps: secrets for their owner alone, and pid files that cannot name a stranger."""

import json
import os
import stat
import subprocess
import sys

from devstack.account import place_data, remove_data
from devstack.credentials import CUSTOMARY, GENERATED, load_secrets
from devstack.envfile import read_env_file
from devstack.processes import read_pid_file, write_pid_file


def test_secrets_are_made_once_and_read_by_their_owner_alone(tmp_path):
    path = tmp_path / "secrets.env"
    made = load_secrets(path, {})
    assert made.keys() == {*CUSTOMARY, *GENERATED}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_secrets(path, {}) == made
    assert len({made[name] for name in GENERATED}) == len(GENERATED)
    assert all(8 <= len(made[name]) <= 40 for name in GENERATED), "MinIO takes secrets of 8 to 40 characters"


def test_a_secret_that_came_later_is_added_and_the_others_stay(tmp_path):
    path = tmp_path / "secrets.env"
    made = load_secrets(path, {})
    kept = {name: value for name, value in made.items() if name != GENERATED[0]}
    path.write_text("".join(f"{name}={value}\n" for name, value in kept.items()))
    assert load_secrets(path, {}).items() >= kept.items()
    assert load_secrets(path, {}).keys() == made.keys()


def test_the_consoles_logins_are_the_environments_where_it_names_them(tmp_path):
    path = tmp_path / "secrets.env"
    made = load_secrets(path, {})
    chosen = {"MINIO_ROOT_PASSWORD": "another-password", "RABBITMQ_ADMIN_PASSWORD": ""}
    assert load_secrets(path, chosen) == made | {"MINIO_ROOT_PASSWORD": "another-password"}
    assert load_secrets(path, {}) == made | {"MINIO_ROOT_PASSWORD": "another-password"}


def test_env_files_are_read_as_compose_reads_them(tmp_path):
    path = tmp_path / "file.env"
    path.write_text("# a comment\n\nA=1\nB=x=y\nC=\n")
    assert read_env_file(path) == {"A": "1", "B": "x=y", "C": ""}


def test_a_pid_file_names_a_process_only_while_it_is_that_process(tmp_path):
    path = tmp_path / "some.pid"
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        write_pid_file(path, child.pid)
        assert read_pid_file(path) == child.pid
    assert read_pid_file(path) is None


def test_a_pid_that_is_somebody_elses_by_now_is_not_ours(tmp_path):
    path = tmp_path / "some.pid"
    path.write_text(json.dumps({"pid": os.getpid(), "started": 1}))
    assert read_pid_file(path) is None


def test_a_missing_or_broken_pid_file_names_nobody(tmp_path):
    path = tmp_path / "some.pid"
    assert read_pid_file(path) is None
    path.write_text("")
    assert read_pid_file(path) is None


def test_data_live_beside_the_rest_and_go_with_it(tmp_path):
    directory = tmp_path / "site"
    directory.mkdir()
    data = place_data(directory, None, print)
    assert data == directory / "data"
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    remove_data(directory)
    assert not directory.exists()


def test_data_elsewhere_are_remembered_and_go_too(tmp_path):
    directory, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    directory.mkdir()
    (directory / "data-directory").write_text(f"{elsewhere}\n")
    assert place_data(directory, None, print) == elsewhere
    remove_data(directory)
    assert not elsewhere.exists()
