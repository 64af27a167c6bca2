"""compose.yaml, compose.prod.yaml and the Dockerfile as values, read without Docker."""

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CHECKOUT = Path(__file__).resolve().parents[2]
_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?P<operator>:-|:\?)?(?P<text>[^${}]*)\}")


@dataclass(frozen=True)
class Tagged:
    """A value that replaces (`!override`) or removes (`!reset`) that of an earlier file."""

    tag: str
    value: Any


class _Loader(yaml.SafeLoader):
    """YAML with Compose's tags."""


def _construct_tagged(loader: yaml.SafeLoader, tag: str, node: yaml.Node) -> Tagged:
    if isinstance(node, yaml.MappingNode):
        return Tagged(tag, loader.construct_mapping(node, deep=True))
    assert isinstance(node, yaml.SequenceNode)
    return Tagged(tag, loader.construct_sequence(node, deep=True))


_Loader.add_multi_constructor("!", _construct_tagged)


def read_compose(name: str) -> dict[str, Any]:
    """Return one file as it is written, variables and tags included."""
    return yaml.load((CHECKOUT / name).read_text(), _Loader)  # noqa: S506 (a SafeLoader)


def merge_compose(base: Any, over: Any) -> Any:
    """Put one file's value over another's as Compose does: mappings merge, lists add up, scalars replace."""
    if isinstance(over, Tagged):
        return over.value if over.tag == "override" else None
    if isinstance(base, dict) and isinstance(over, dict):
        merged = {**base, **{name: merge_compose(base.get(name), value) for name, value in over.items()}}
        return {name: value for name, value in merged.items() if value is not None or over.get(name, 0) is None}
    if isinstance(base, list) and isinstance(over, list):
        return base + over
    return over


def resolve(value: Any, **environment: str) -> Any:
    """Fill in the variables: from the environment given, else their defaults; a required one becomes `<NAME>`."""
    if isinstance(value, dict):
        return {name: resolve(inner, **environment) for name, inner in value.items()}
    if isinstance(value, list):
        return [resolve(inner, **environment) for inner in value]
    if not isinstance(value, str):
        return value

    def fill(found: re.Match[str]) -> str:
        if given := environment.get(found["name"]):
            return given
        return found["text"] if found["operator"] == ":-" else f"<{found['name']}>"

    while (filled := _VARIABLE.sub(fill, value)) != value:  # from the innermost outwards
        value = filled
    return value


@dataclass
class Stage:
    """One `FROM` of the Dockerfile with the instructions up to the next."""

    name: str
    source: str
    instructions: list[tuple[str, str]]


def read_dockerfile() -> tuple[dict[str, str], dict[str, Stage]]:
    """Return the arguments before the first stage, and the stages by name."""
    text = re.sub(r"^\s*#.*\n", "", (CHECKOUT / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = [line.strip() for line in re.sub(r"\\\n", " ", text).splitlines() if line.strip()]
    arguments: dict[str, str] = {}
    stages: dict[str, Stage] = {}
    for line in lines:
        kind, _, rest = line.partition(" ")
        if kind == "FROM":
            source, _, name = rest.partition(" AS ")
            stages[name] = Stage(name, source, [])
        elif stages:
            stages[list(stages)[-1]].instructions.append((kind, rest.strip()))
        else:
            assert kind == "ARG", line
            arguments.update([tuple(rest.split("=", 1))])
    return arguments, stages


def ancestry(stages: dict[str, Stage], name: str) -> list[Stage]:
    """Return the stage and those that it is built from, the nearest first."""
    chain = [stages[name]]
    while chain[-1].source in stages:
        chain.append(stages[chain[-1].source])
    return chain


def last_instruction(stages: dict[str, Stage], name: str, kind: str) -> str | None:
    """Return the value of an instruction of which the last one in an image's stages counts."""
    for stage in ancestry(stages, name):
        for found, rest in reversed(stage.instructions):
            if found == kind:
                return rest
    return None


def exec_form(instruction: str | None) -> list[str]:
    """Return the arguments of ENTRYPOINT or CMD. Raise ValueError for the shell form, which blocks signals."""
    arguments: list[str] = json.loads(instruction or "[]")
    return arguments


def copied_from_context(stages: dict[str, Stage]) -> list[str]:
    """Return what any stage copies out of the checkout."""
    copies = [shlex.split(rest) for stage in stages.values() for kind, rest in stage.instructions if kind == "COPY"]
    own = [arguments for arguments in copies if not any(argument.startswith("--from=") for argument in arguments)]
    return [argument for arguments in own for argument in arguments[:-1] if not argument.startswith("--")]
