"""YAML as plain values, with the line that each stands in.

Scalars are given as the text that stands there, so that whoever knows the fields decides what it means: a version
may be 1 or 2026-01-31, and nobody's preset called ``on`` turns into a truth.
"""

from dataclasses import dataclass, field
from typing import Any

import yaml

Place = tuple[int | str, ...]  # of a value: ("presets", 1, "quality")


class NotYamlError(ValueError):
    """Why this is not YAML that we take, and in which line."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line


@dataclass
class Page:
    """What a file says; lines count from 1."""

    content: Any = None  # dictionaries, lists and texts; None for an empty file
    lines: dict[Place, int] = field(default_factory=dict)
    repeated: list[tuple[Place, int]] = field(
        default_factory=list
    )  # fields that stand there twice, and the first's line

    def line(self, place: Place) -> int:
        """Say where a value stands, or else what it is missing in."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)


def read_yaml(data: bytes) -> Page:
    """Read one document. Raises NotYamlError."""
    try:
        for event in yaml.parse(data, yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):  # a few lines of them can stand for gigabytes, or for themselves
                raise NotYamlError(_line(event.start_mark), f"*{event.anchor}: references are not taken")
        root = yaml.compose(data, yaml.SafeLoader)
    except yaml.MarkedYAMLError as fault:
        raise NotYamlError(_line(fault.problem_mark), fault.problem or "is not YAML") from fault
    except yaml.reader.ReaderError as fault:
        raise NotYamlError(data[: fault.position].count(b"\n") + 1, fault.reason) from fault
    except RecursionError as fault:
        raise NotYamlError(1, "is nested too deep") from fault
    page = Page()
    page.content = _unfold(root, (), page)
    return page


def _unfold(node: yaml.Node | None, place: Place, page: Page) -> Any:
    match node:
        case yaml.MappingNode():
            fields: dict[str, Any] = {}
            for key, value in node.value:
                name = key.value if isinstance(key, yaml.ScalarNode) else "(a list or mapping)"
                here = (*place, name)
                if name in fields:
                    page.repeated.append((here, page.lines[here]))
                page.lines[here] = _line(key.start_mark)
                fields[name] = _unfold(value, here, page)
            return fields
        case yaml.SequenceNode():
            page.lines |= {(*place, number): _line(item.start_mark) for number, item in enumerate(node.value)}
            return [_unfold(item, (*place, number), page) for number, item in enumerate(node.value)]
        case yaml.ScalarNode():
            return node.value
    return None


def _line(mark: Any) -> int:
    return mark.line + 1 if mark else 1
