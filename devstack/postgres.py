"""The Postgres cluster of an installation: how its server is started."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

from devstack.account import change_user, chown_tree
from devstack.errors import LaunchError
from devstack.installation import CHECKOUT, Installation
from devstack.probes import succeeds
from devstack.processes import Process

OWNER = "thumbmill"
DATABASE = "thumbmill"


def find_postgres(cluster: Path | None = None) -> Path | None:
    """Return the programs' directory of the newest installed server, or of the version that created the cluster."""
    wanted = cluster / "PG_VERSION" if cluster else None
    version = wanted.read_text(encoding="utf-8").strip() if wanted and wanted.exists() else None
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    on_path = [Path(found).resolve().parent for found in [shutil.which("initdb")] if found]
    needed = ("initdb", "postgres", "psql", "pg_isready")
    complete = (programs for programs in (*debian, *on_path) if all((programs / name).exists() for name in needed))
    return next((programs for programs in complete if version in (None, programs.parent.name)), None)


def describe_postgres(installation: Installation) -> Process:
    """Return the server: loopback only, no socket file (its path could be too long), otherwise the defaults."""
    home = installation.data / "postgres"
    cluster = home / "cluster"
    programs = _require_programs(cluster)
    port = str(installation.ports["POSTGRES_PORT"])
    settings = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": ""}
    arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return Process(
        name="postgres",
        command=[str(programs / "postgres"), "-D", str(cluster), *arguments],
        environment=installation.server_environment(home),
        is_ready=lambda: succeeds([str(programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", port]),
        directory=installation.data,
        account=installation.account,
        prepare=lambda: _make_cluster(installation, programs, home, cluster),
        stop_signal=signal.SIGINT,  # a "fast" shutdown; SIGTERM would wait for every client to disconnect
        kill_group=True,
    )


def describe_roles(installation: Installation) -> tuple[list[str], dict[str, str]]:
    """Return the command and environment that create the database and its roles. It may run again."""
    environment = installation.server_environment(installation.data)
    environment |= {
        "PATH": f"{_require_programs(installation.data / 'postgres' / 'cluster')}:{environment['PATH']}",
        "PGHOST": "127.0.0.1",
        "PGPORT": str(installation.ports["POSTGRES_PORT"]),
        "PGPASSWORD": installation.secrets["POSTGRES_PASSWORD"],
        "POSTGRES_USER": OWNER,
        "POSTGRES_DB": DATABASE,
    }
    environment |= {
        name: value for name, value in installation.secrets.items() if name.endswith("_DATABASE_PASSWORD")
    }
    return ["sh", str(CHECKOUT / "infra" / "postgres" / "roles.sh")], environment


def database_url(installation: Installation, role: str, password: str) -> str:
    """Return the URL that a role connects to."""
    return f"postgresql://{role}:{password}@127.0.0.1:{installation.ports['POSTGRES_PORT']}/{DATABASE}"


def forget_libpq_variables() -> None:
    """Remove libpq's variables (PGSSLMODE, PGSERVICE, PGOPTIONS, …) from this process's environment.

    A developer sets them for another database, and they would apply to every connection to ours.
    """
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]


def _require_programs(cluster: Path) -> Path:
    if programs := find_postgres(cluster):
        return programs
    if (cluster / "PG_VERSION").exists():
        version = (cluster / "PG_VERSION").read_text(encoding="utf-8").strip()
        raise LaunchError(
            f"{cluster} was created by PostgreSQL {version}, which is not installed: run "
            f"`apt-get install postgresql-{version}`, or `make clean` to delete all data and start from scratch"
        )
    raise LaunchError("no PostgreSQL server found: run `python -m devstack setup`")


def _make_cluster(installation: Installation, programs: Path, home: Path, cluster: Path) -> None:
    if cluster.exists():
        return
    home.mkdir(mode=0o700, exist_ok=True)
    unfinished = home / "unfinished"  # renamed when complete, so an interrupted initdb leaves no broken cluster
    shutil.rmtree(unfinished, ignore_errors=True)
    password = home / "password"
    password.touch(mode=0o600)
    password.write_text(installation.secrets["POSTGRES_PASSWORD"], encoding="utf-8")
    chown_tree(home, installation.account)
    options = ["--locale=C.UTF-8", "--encoding=UTF8", "--auth=scram-sha-256", f"--pwfile={password}"]
    result = subprocess.run(
        [
            "setpriv",
            *change_user(installation.account),
            "--",
            programs / "initdb",
            "-U",
            OWNER,
            *options,
            "-D",
            unfinished,
        ],
        env=installation.server_environment(home),
        cwd=installation.data,
        check=False,
        capture_output=True,
        text=True,
    )
    password.unlink()
    if result.returncode != 0:
        raise LaunchError(f"initdb failed to create {cluster}:\n{result.stdout}{result.stderr}")
    unfinished.rename(cluster)
