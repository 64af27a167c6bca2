"""The RabbitMQ node of an installation and its epmd: how their processes are started."""

import shutil
import subprocess
import sys
from pathlib import Path

from devstack.account import change_user, chown_tree
from devstack.errors import LaunchError
from devstack.installation import CHECKOUT, Installation
from devstack.probes import answers_amqp, answers_epmd, answers_http
from devstack.processes import Process

SHARED = CHECKOUT / "infra" / "rabbitmq"
WATCH_SECONDS = 15  # as in compose.yaml
_PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")  # Debian's wrapper on PATH requires the user rabbitmq
ALARMS = {  # for tests and drills: the rabbitmqctl command, the value that raises the alarm, the normal value
    "disk": ("set_disk_free_limit", "999GB", "50MB"),
    "memory": ("set_vm_memory_high_watermark", "0.0001", "0.4"),
}
# Erlang's schedulers busy-wait by default, which takes CPU time from image decoding on a shared machine.
_NO_SPINNING = "+sbwt none +sbwtdcpu none +sbwtdio none"


def find_rabbitmq() -> Path | None:
    """Return the server program, or None if the package is missing."""
    return _PROGRAM if _PROGRAM.exists() and shutil.which("epmd") else None


def describe_epmd(installation: Installation) -> Process:
    """Return Erlang's port mapper. A separate one keeps this node apart from a node of the operating system."""
    port = installation.ports["EPMD_PORT"]
    return Process(
        name="epmd",
        command=["epmd", "-port", str(port), "-address", "127.0.0.1"],
        environment=installation.server_environment(installation.data),
        is_ready=lambda: answers_epmd(port),
        directory=installation.data,
        account=installation.account,
    )


def describe_rabbitmq(installation: Installation) -> Process:
    """Return the broker. The node's name is the same for all ports, since its data belong to the name."""
    if not find_rabbitmq():
        raise LaunchError("no RabbitMQ server found: run `python -m devstack setup`")
    home = installation.data / "rabbitmq"
    port, management = installation.ports["RABBITMQ_PORT"], installation.ports["RABBITMQ_MANAGEMENT_PORT"]
    environment = installation.server_environment(home) | {
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(installation.ports["EPMD_PORT"]),
        "RABBITMQ_CONF_ENV_FILE": str(home / "etc" / "none"),  # not the system's /etc/rabbitmq/rabbitmq-env.conf
        "RABBITMQ_CONFIG_FILE": str(home / "etc" / "rabbitmq.conf"),
        "RABBITMQ_DIST_PORT": str(installation.ports["RABBITMQ_DIST_PORT"]),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "etc" / "enabled_plugins"),
        "RABBITMQ_GENERATED_CONFIG_DIR": str(home / "etc"),
        "RABBITMQ_LOG_BASE": str(home / "log"),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
        "RABBITMQ_NODENAME": "thumbmill@localhost",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"-kernel inet_dist_use_interface {{127,0,0,1}} {_NO_SPINNING}",
        "RUNNING_UNDER_SYSTEMD": "1",  # the script becomes the Erlang VM, so that signals reach the broker itself
    }
    return Process(
        name="rabbitmq",
        command=[str(_PROGRAM)],
        environment=environment,
        is_ready=lambda: answers_amqp(port) and answers_http(management, "/"),
        directory=installation.data,
        account=installation.account,
        prepare=lambda: _write_configuration(installation, home),
        start_seconds=120,
        kill_group=True,
    )


def describe_rabbitmq_watch(installation: Installation) -> Process:
    """Return the process that keeps running and restores missing queues, bindings, policies and permissions."""
    environment = installation.server_environment(installation.data) | {
        "RABBITMQ_MANAGEMENT_URL": f"http://127.0.0.1:{installation.ports['RABBITMQ_MANAGEMENT_PORT']}",
        "RABBITMQ_ADMIN_PASSWORD": installation.secrets["RABBITMQ_ADMIN_PASSWORD"],
        "RABBITMQ_QUEUE": installation.queue,
    }
    return Process(
        name="rabbitmq-watch",
        command=[sys.executable, str(SHARED / "restore.py"), "--watch", str(WATCH_SECONDS)],
        environment=environment,
        is_ready=lambda: True,
        directory=installation.data,
    )


def _write_configuration(installation: Installation, home: Path) -> None:
    etc = home / "etc"
    definitions = etc / "definitions"
    definitions.mkdir(parents=True, exist_ok=True)
    home.chmod(0o700)
    addresses = {
        "listeners.tcp.1": f"127.0.0.1:{installation.ports['RABBITMQ_PORT']}",
        "management.tcp.ip": "127.0.0.1",
        "management.tcp.port": installation.ports["RABBITMQ_MANAGEMENT_PORT"],
        "prometheus.tcp.ip": "127.0.0.1",
        "prometheus.tcp.port": installation.ports["RABBITMQ_METRICS_PORT"],
        "load_definitions": definitions,
    }
    shared = (SHARED / "rabbitmq.conf").read_text(encoding="utf-8")
    kept = [line for line in shared.splitlines() if line.partition("=")[0].strip() not in addresses]
    own = [f"{name} = {value}" for name, value in addresses.items()]
    (etc / "rabbitmq.conf").write_text("\n".join([*kept, "", *own, ""]), encoding="utf-8")
    shutil.copyfile(SHARED / "enabled_plugins", etc / "enabled_plugins")
    shutil.copyfile(SHARED / "definitions.json", definitions / "10-topology.json")
    subprocess.run(
        [sys.executable, str(SHARED / "users.py"), str(definitions / "20-users.json")],
        env={**installation.secrets, "RABBITMQ_QUEUE": installation.queue},
        check=True,
    )
    chown_tree(home, installation.account)


def rabbitmqctl(broker: Process, *arguments: str) -> None:
    """Run `rabbitmqctl` on a running broker, as its own user. Raise SubprocessError."""
    program = str(_PROGRAM.with_name("rabbitmqctl"))
    command = [program, "-n", broker.environment["RABBITMQ_NODENAME"], *arguments]
    subprocess.run(
        ["setpriv", *change_user(broker.account), "--", *command],
        env=dict(broker.environment), check=True, capture_output=True, timeout=180,
    )  # fmt: skip
