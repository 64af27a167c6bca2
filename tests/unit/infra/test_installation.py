"""The launcher's files: secrets that only their owner can read, and pid files that survive a reused id."""

import json
import os
import stat
import subprocess
import sys

from devstack.account import choose_data_directory, remove_data
from devstack.credentials import CONSOLE_PASSWORDS, GENERATED, load_secrets
from devstack.envfile import read_env_file
from devstack.processes import read_pid_file, write_pid_file


def test_secrets_are_generated_once_and_only_their_owner_can_read_them(tmp_path):
    path = tmp_path / "secrets.env"
    made = load_secrets(path, {})
    assert made.keys() == {"MINIO_ROOT_USER", *GENERATED}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_secrets(path, {}) == made
    assert len({made[name] for name in GENERATED}) == len(GENERATED)
    assert all(8 <= len(made[name]) <= 40 for name in GENERATED), "MinIO accepts secrets of 8 to 40 characters"


def test_a_missing_secret_is_added_and_the_others_stay(tmp_path):
    path = tmp_path / "secrets.env"
    made = load_secrets(path, {})
    kept = {name: value for name, value in made.items() if name != GENERATED[0]}
    path.write_text("".join(f"{name}={value}\n" for name, value in kept.items()))
    assert load_secrets(path, {}).items() >= kept.items()
    assert load_secrets(path, {}).keys() == made.keys()


def test_each_installation_has_its_own_passwords_of_the_consoles_and_an_older_one_keeps_its_known_ones(tmp_path):
    first, second = (load_secrets(tmp_path / name, {}) for name in ("first.env", "second.env"))
    assert all(first[name] != second[name] for name in CONSOLE_PASSWORDS)
    older = {
        "MINIO_ROOT_USER": "minioadmin",
        "MINIO_ROOT_PASSWORD": "minioadmin",
        "RABBITMQ_ADMIN_PASSWORD": "admin",
    }
    path = tmp_path / "older.env"
    path.write_text("".join(f"{name}={value}\n" for name, value in older.items()))
    assert load_secrets(path, {}).items() >= older.items()


def test_the_environment_overrides_the_logins_of_the_consoles(tmp_path):
    path = tmp_path / "secrets.env"
    made = load_secrets(path, {})
    chosen = {"MINIO_ROOT_PASSWORD": "another-password", "RABBITMQ_ADMIN_PASSWORD": ""}
    assert load_secrets(path, chosen) == made | {"MINIO_ROOT_PASSWORD": "another-password"}
    assert load_secrets(path, {}) == made | {"MINIO_ROOT_PASSWORD": "another-password"}


def test_env_files_are_parsed_like_compose_does(tmp_path):
    path = tmp_path / "file.env"
    path.write_text("# a comment\n\nA=1\nB=x=y\nC=\n")
    assert read_env_file(path) == {"A": "1", "B": "x=y", "C": ""}


def test_a_pid_file_is_valid_only_while_its_process_runs(tmp_path):
    path = tmp_path / "some.pid"
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        write_pid_file(path, child.pid)
        assert read_pid_file(path) == child.pid
    assert read_pid_file(path) is None


def test_a_reused_pid_is_not_valid(tmp_path):
    path = tmp_path / "some.pid"
    path.write_text(json.dumps({"pid": os.getpid(), "started": 1}))
    assert read_pid_file(path) is None


def test_a_missing_or_broken_pid_file_is_not_valid(tmp_path):
    path = tmp_path / "some.pid"
    assert read_pid_file(path) is None
    path.write_text("")
    assert read_pid_file(path) is None


def test_data_are_inside_the_directory_and_removed_with_it(tmp_path):
    directory = tmp_path / "installation"
    directory.mkdir()
    data = choose_data_directory(directory, None, print)
    assert data == directory / "data"
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    remove_data(directory)
    assert not directory.exists()


def test_a_data_directory_elsewhere_is_found_and_removed_too(tmp_path):
    directory, elsewhere = tmp_path / "installation", tmp_path / "elsewhere"
    directory.mkdir()
    (directory / "data-directory").write_text(f"{elsewhere}\n")
    assert choose_data_directory(directory, None, print) == elsewhere
    remove_data(directory)
    assert not elsewhere.exists()
