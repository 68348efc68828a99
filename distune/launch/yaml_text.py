"""YAML that other programs' readers take for what was meant."""

import re
from typing import Any

import yaml

#: Text that is a number or a truth to readers of YAML 1.2, or of Go's, and none to PyYAML: 1e3, y.
_DOUBTFUL = re.compile(r"[-+]?[.\d]|[yYnN]\Z")


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]
    def ignore_aliases(self, data: Any) -> bool:
        return True  # for a reader who edits one of two that are alike

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> Any:
        return super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, text: str) -> Any:
    style = "|" if "\n" in text else '"' if _DOUBTFUL.match(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _text)


def to_yaml(*documents: Any, comment: str) -> str:
    """Documents, the first after a comment of one or more lines."""
    lines = "".join(f"# {line}\n" for line in comment.splitlines())
    text: str = yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    return lines + text
