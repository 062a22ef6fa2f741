"""Reading the YAML file: values with ``!ENV`` filled in, and the line that each stands on."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType, SimpleNamespace
from typing import Any, ClassVar

import pyaml_env
import yaml

from projectw_shared.config.mistakes import ConfigError, Mistake, Place, dotted

ENV_TAG = "!ENV"
_VARIABLE = re.compile(r"\$\{([^}{:]+)(:[^}]*)?\}")


class FromEnvironment(str):
    """A text that came through ``!ENV`` and may stand for a number or a truth value."""

    __slots__ = ()


class UnsetVariable(str):
    """Stands where a variable is missing; whether anyone wants the value is not known while reading.

    The text is the variable's name, ``line`` where it is asked for.
    """

    __slots__ = ("line",)

    line: int


@dataclass(frozen=True)
class Document:
    """What a file says, and where."""

    values: dict[str, Any]
    root: yaml.Node | None = None

    def line_of(self, place: Place) -> int | None:
        """Return the line of a value's key, or of the closest thing around it, counted from 1."""
        node, line = self.root, None
        for part in place:
            key, node = _child(node, part)
            if key is None:
                break
            line = key.start_mark.line + 1
        return line


def read_document(file: Path, environ: Mapping[str, str]) -> Document:
    """Read ``file``; raise ConfigError for what is no sound YAML, before any setting is looked at."""
    text = _read_text(file)
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        mistakes = list(_mistakes_in(root, (), set(), set())) if root else []
        if mistakes:
            raise ConfigError(mistakes, file)
        values = {} if root is None else _construct(text, environ)
    except yaml.YAMLError as error:
        raise ConfigError([_syntax_mistake(error, text)], file) from error
    except (ValueError, RecursionError) as error:  # an impossible date, a thousand brackets
        raise ConfigError([Mistake("", None, f"is not valid YAML: {error}")], file) from error
    if values is None:
        return Document({}, root)
    if not isinstance(values, dict):
        message = "expected sections such as 'server:' at the top of the file"
        raise ConfigError([Mistake("", 1, message)], file)
    return Document(values, root)


def _read_text(file: Path) -> str:
    try:
        content = file.read_bytes()
        return content.decode("utf-8")
    except OSError as error:
        raise ConfigError([Mistake("", None, f"cannot be read: {error.strerror}")], file) from error
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError([Mistake("", line, "this is not UTF-8; save the file as UTF-8")], file) from error


def _construct(text: str, environ: Mapping[str, str]) -> Any:
    # pyaml-env adds its constructor to the class that it is handed, and by default to the global SafeLoader:
    # each reading gets a class of its own.
    loader = type("_PrivateLoader", (_MarkingLoader,), {"environ": environ})
    # It also reads os.environ by itself: a copy of the function whose globals hold our mapping does not.
    original = pyaml_env.parse_config
    names = {**original.__globals__, "os": SimpleNamespace(environ=environ)}
    parse = FunctionType(original.__code__, names, original.__name__, original.__defaults__)
    return parse(data=text, tag=ENV_TAG, loader=loader)


class _MarkingLoader(yaml.SafeLoader):
    environ: ClassVar[Mapping[str, str]]

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        value = super().construct_object(node, deep)
        if node.tag != ENV_TAG:
            return value
        for name, default in _VARIABLE.findall(node.value):
            if not default and name not in self.environ:
                # pyaml-env would put "N/A" there.
                unset = UnsetVariable(name)
                unset.line = node.start_mark.line + 1
                return unset
        return FromEnvironment(value) if isinstance(value, str) else value


def _mistakes_in(node: yaml.Node, place: Place, seen: set[int], around: set[int]) -> Iterator[Mistake]:
    """Walk the nodes: aliases make them a graph, so each is looked at once, and never within itself."""
    if id(node) in around:
        yield _mistake(node, place, "this alias contains itself")
    if id(node) in seen:
        return
    seen.add(id(node))
    around = around | {id(node)}
    yield from _tag_mistakes(node, place)
    if isinstance(node, yaml.MappingNode):
        yield from _duplicate_keys(node, place)
        for key, value in node.value:
            yield from _mistakes_in(value, (*place, str(key.value)), seen, around)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _mistakes_in(value, (*place, index), seen, around)


def _duplicate_keys(node: yaml.MappingNode, place: Place) -> Iterator[Mistake]:
    first: dict[tuple[str, str], int] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            yield _mistake(key, place, "a key is one word, no list and no section")
            continue
        name = (key.tag, key.value)
        if name in first:
            message = f"stands here a second time, first on line {first[name]}"
            yield _mistake(key, (*place, key.value), message)
        first.setdefault(name, key.start_mark.line + 1)


def _tag_mistakes(node: yaml.Node, place: Place) -> Iterator[Mistake]:
    if node.tag != ENV_TAG:
        if node.tag not in yaml.SafeLoader.yaml_constructors:
            tag = node.tag.replace("tag:yaml.org,2002:", "!!")
            yield _mistake(node, place, f"the tag {tag} is not known here; the only one is {ENV_TAG}")
        return
    variables = _VARIABLE.findall(node.value) if isinstance(node, yaml.ScalarNode) else []
    if not variables:
        yield _mistake(node, place, f"{ENV_TAG} needs a variable, such as {ENV_TAG} ${{PORT:8080}}")
    for name, default in variables:
        if default == ":":
            yield _mistake(
                node, place, f"${{{name}:}} has no default; write ${{{name}}} or ${{{name}:default}}"
            )


def _child(node: yaml.Node | None, part: str | int) -> tuple[yaml.Node | None, yaml.Node | None]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return key, value
    elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part]
    return None, None


def _mistake(node: yaml.Node, place: Place, message: str) -> Mistake:
    return Mistake(dotted(place), node.start_mark.line + 1, message)


def _syntax_mistake(error: yaml.YAMLError, text: str) -> Mistake:
    if isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return Mistake("", line, "a control character; the file holds plain text only")
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = str(getattr(error, "problem", None) or error)
    if r"'\t'" in problem:
        problem = "a tab; YAML is indented with spaces"
    return Mistake("", mark.line + 1 if mark else None, f"is not valid YAML: {problem}")
