"""Apps import downwards only: the table of who may import whom, held against every file."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BELOW_LEADS = {"brands", "compliance"}
BELOW_CAMPAIGNS = {"leads", "providers", "links", *BELOW_LEADS}
BELOW_DELIVERY = {"campaigns", *BELOW_CAMPAIGNS}
BELOW_REPORTING = {"delivery", *BELOW_DELIVERY}
MAY_IMPORT: dict[str, set[str]] = {
    "config": {"reporting", *BELOW_REPORTING},
    "reporting": BELOW_REPORTING,
    "delivery": BELOW_DELIVERY,
    "campaigns": BELOW_CAMPAIGNS,
    "leads": BELOW_LEADS,
    "providers": {"brands"},
    "compliance": {"brands"},
    "links": {"brands"},
    "brands": set(),
}
OURS = {*MAY_IMPORT, "tests", "manage"}
RELATIONS = {"ForeignKey", "OneToOneField", "ManyToManyField"}


def packages() -> set[str]:
    return {file.parent.name for file in ROOT.glob("*/__init__.py")} - {"tests"}


def imported(node: ast.AST, package: str) -> list[str]:
    """The modules that this statement imports; a relative one stays inside its app."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [package if node.level else str(node.module)]
    return []


def related(node: ast.AST) -> list[str]:
    """The model that a relation names by a string, as "app.Model"."""
    if not isinstance(node, ast.Call) or getattr(node.func, "attr", "") not in RELATIONS:
        return []
    named = [*node.args[:1], *(word.value for word in node.keywords if word.arg == "to")]
    return [
        str(value.value)
        for value in named
        if isinstance(value, ast.Constant) and "." in value.value
    ]


def uses(source: str, package: str) -> Iterator[tuple[int, str]]:
    """Line and app of everything of ours that the source of a package uses outside itself."""
    for node in ast.walk(ast.parse(source)):
        for name in imported(node, package) + related(node):
            app = name.split(".")[0]
            if app in OURS - {package}:
                yield getattr(node, "lineno", 0), app


def violations(source: str, package: str) -> list[tuple[int, str]]:
    return [(line, app) for line, app in uses(source, package) if app not in MAY_IMPORT[package]]


def test_every_package_has_its_place_in_the_table() -> None:
    assert packages() == set(MAY_IMPORT)


@pytest.mark.parametrize("package", sorted(MAY_IMPORT))
def test_imports_point_downwards_only(package: str) -> None:
    found = [
        f"{file.relative_to(ROOT)}:{line} uses {app}"
        for file in sorted((ROOT / package).rglob("*.py"))
        for line, app in violations(file.read_text(), package)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("package", "source", "app"),
    [
        pytest.param("brands", "from leads.models import Lead", "leads", id="upwards"),
        pytest.param("links", "import providers.base", "providers", id="a sibling"),
        pytest.param("leads", "from links import codes", "links", id="leads may not use links"),
        pytest.param("delivery", "from config import settings", "config", id="the settings"),
        pytest.param("reporting", "from tests import factories", "tests", id="the tests"),
        pytest.param("leads", "def f():\n    import providers", "providers", id="in a function"),
        pytest.param("leads", "models.ForeignKey('delivery.Message')", "delivery", id="a relation"),
        pytest.param("leads", "models.OneToOneField(to='links.Click')", "links", id="by keyword"),
    ],
)
def test_a_forbidden_import_is_seen(package: str, source: str, app: str) -> None:
    assert [found for _, found in violations(source, package)] == [app]


@pytest.mark.parametrize(
    ("package", "source"),
    [
        pytest.param("config", "from delivery.tasks import send", id="config may use all"),
        pytest.param("campaigns", "from providers import base", id="downwards"),
        pytest.param("leads", "from .models import Lead", id="inside the app"),
        pytest.param("leads", "models.ForeignKey('self')", id="a relation to itself"),
        pytest.param("brands", "from django.conf import settings", id="not ours"),
    ],
)
def test_what_is_allowed_passes(package: str, source: str) -> None:
    assert violations(source, package) == []
