"""YAML as plain values, with the line number of each.

Scalars keep their text, so that the caller, who knows the fields, decides what they mean: a version may be 1 or
2026-01-31, and a preset called ``on`` does not become a boolean.
"""

from dataclasses import dataclass, field
from typing import Any

import yaml

Loc = tuple[int | str, ...]  # the path to a value: ("presets", 1, "quality")


class YamlSyntaxError(ValueError):
    """The reason why a file is not acceptable YAML, with the line."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line


@dataclass
class YamlDocument:
    """The content of a file; lines count from 1."""

    content: Any = None  # dictionaries, lists and strings; None for an empty file
    lines: dict[Loc, int] = field(default_factory=dict)
    # A field's further occurrences, with the line of the first.
    repeated: list[tuple[Loc, int]] = field(default_factory=list)

    def line(self, loc: Loc) -> int:
        """Return the line of a value, or of the innermost existing value that should contain it."""
        while loc and loc not in self.lines:
            loc = loc[:-1]
        return self.lines.get(loc, 1)


def parse_yaml(data: bytes) -> YamlDocument:
    """Parse one document. Raise YamlSyntaxError."""
    try:
        for event in yaml.parse(data, yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):  # a few aliases can expand to gigabytes, or to themselves
                raise YamlSyntaxError(_line(event.start_mark), f"*{event.anchor}: aliases are not supported")
        root = yaml.compose(data, yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        raise YamlSyntaxError(_line(error.problem_mark), error.problem or "is not YAML") from error
    except yaml.reader.ReaderError as error:
        raise YamlSyntaxError(data[: error.position].count(b"\n") + 1, error.reason) from error
    except RecursionError as error:
        raise YamlSyntaxError(1, "is nested too deeply") from error
    document = YamlDocument()
    document.content = _convert(root, (), document)
    return document


def _convert(node: yaml.Node | None, loc: Loc, document: YamlDocument) -> Any:
    match node:
        case yaml.MappingNode():
            fields: dict[str, Any] = {}
            for key, value in node.value:
                name = key.value if isinstance(key, yaml.ScalarNode) else "(a list or mapping)"
                here = (*loc, name)
                if name in fields:
                    document.repeated.append((here, document.lines[here]))
                document.lines[here] = _line(key.start_mark)
                fields[name] = _convert(value, here, document)
            return fields
        case yaml.SequenceNode():
            document.lines |= {(*loc, number): _line(item.start_mark) for number, item in enumerate(node.value)}
            return [_convert(item, (*loc, number), document) for number, item in enumerate(node.value)]
        case yaml.ScalarNode():
            return node.value
    return None


def _line(mark: Any) -> int:
    return mark.line + 1 if mark else 1
