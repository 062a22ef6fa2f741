"""A page that shows the OpenAPI document: one file, no script, no request to any other host."""

import base64
import hashlib
from collections import defaultdict
from importlib import resources
from typing import Any, NamedTuple

import jinja2
import msgspec
from markupsafe import Markup

_PAGES = resources.files("projectw_server.api") / "pages"


class Page(NamedTuple):
    """A page, and the policy (Content-Security-Policy) under which it is shown."""

    html: str
    policy: str


def render(document: dict[str, Any]) -> Page:
    """Return the page for ``document``; its policy allows its own style sheet and nothing else."""
    style = (_PAGES / "docs.css").read_text("utf-8")
    template = jinja2.Environment(autoescape=True, trim_blocks=True).from_string(
        (_PAGES / "docs.html").read_text("utf-8")
    )
    html = template.render(
        document=document,
        groups=_by_tag(document),
        style=Markup(style),  # noqa: S704  a file of ours
        shown=_shown,
        linked=_linked,
    )
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return Page(html, f"{policy}; frame-ancestors 'none'")


def _by_tag(document: dict[str, Any]) -> dict[str, list[tuple[str, str, dict[str, Any]]]]:
    groups: defaultdict[str, list[tuple[str, str, dict[str, Any]]]] = defaultdict(list)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            groups[operation["tags"][0]].append((method.upper(), path, operation))
    return dict(groups)


def _shown(schema: dict[str, Any]) -> str:
    """Return a schema in words that are shorter than JSON: ``string or null``, ``list of Segment``."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(_shown(each) for each in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(msgspec.json.encode(each).decode() for each in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_shown(schema.get('items', {}))}"
    return str(schema.get("format") or schema.get("type") or "anything")


def _linked(schema: dict[str, Any] | jinja2.Undefined) -> Markup:
    if isinstance(schema, jinja2.Undefined):
        return Markup("")
    name = _shown(schema)
    return Markup('<a href="#{0}">{0}</a>').format(name)
