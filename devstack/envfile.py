"""Files of NAME=value lines, in the format of Compose's `env_file`."""

from pathlib import Path


def read_env_file(path: Path) -> dict[str, str]:
    """Return the file's variables; skip empty lines and lines that begin with #."""
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name.strip(): value.strip() for name, _, value in pairs}


def write_private_env_file(path: Path, variables: dict[str, str]) -> None:
    """Write the variables so that only the owner can read them."""
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text("".join(f"{name}={value}\n" for name, value in variables.items()), encoding="utf-8")
