"""The rules of DESIGN.md and STYLE.md about who knows whom, read from the source."""

import ast
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

pytestmark = pytest.mark.anywhere

ROOT = Path(__file__).resolve().parent.parent
APPS = ("tasks_app", "notifications", "taskmanager")
FILES = [path for app in APPS for path in sorted((ROOT / app).rglob("*.py")) if "migrations" not in path.parts]
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(path): path for path in FILES}


def imports(path: Path) -> Iterator[str]:
    """Dotted names that a file imports, also inside functions; relative ones in full, `if TYPE_CHECKING` left out."""
    tree = ast.parse(path.read_text())
    hidden = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for inner in ast.walk(node)
    }
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(tree):
        if id(node) in hidden:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*start, *([node.module] if node.module else [])])
            for alias in node.names:
                name = f"{base}.{alias.name}"
                yield name if name in MODULES else base


USES = {name: {found for found in imports(path) if found != name} for name, path in MODULES.items()}


def within(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


# ---- Imports go one way ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "stranger", ["notifications", "taskmanager", "channels", "channels_redis", "requests", "redis"]
)
def test_the_domain_knows_neither_webhooks_nor_sockets_nor_the_composition_root(stranger: str) -> None:
    assert [
        name for name, used in USES.items() if within(name, "tasks_app") and any(within(u, stranger) for u in used)
    ] == []


KNOWN_TO_NOTIFICATIONS = {
    "tasks_app.models", "tasks_app.signals", "tasks_app.handlers",  # what DESIGN.md names
    "tasks_app.background", "tasks_app.broker", "tasks_app.clock",  # threads, connections, time: they know nothing of tasks
    "tasks_app.database", "tasks_app.leases", "tasks_app.strict_json", "tasks_app.shutdown",  # nor do these
    "tasks_app.inserts",
    "tasks_app.identity", "tasks_app.access", "tasks_app.tokens", "tasks_app.readonly",  # who may, for both apps
}  # fmt: skip
KNOWN_TO_ITS_ENTRY_POINTS = {
    "tasks_app.exceptions", "tasks_app.keyset", "tasks_app.validation", "tasks_app.lifecycle", "tasks_app.idempotency",
    "tasks_app.api",  # one way to answer, to page and to refuse, for the API of both apps
    "tasks_app.pages",  # and for their pages
}  # fmt: skip
ENTRY_POINTS = [
    f"{app}.{room}" for app in APPS[:2] for room in ("api", "pages", "admin", "tasks", "management", "consumers")
]


def test_notifications_knows_little_of_the_domain() -> None:
    for name, used in USES.items():
        allowed = KNOWN_TO_NOTIFICATIONS
        if within(name, "notifications.api", "notifications.pages", "notifications.admin"):
            allowed = allowed | KNOWN_TO_ITS_ENTRY_POINTS
        if within(name, "notifications"):
            found = {u for u in used if within(u, "tasks_app")}
            assert {u for u in found if not within(u, *allowed)} == set(), name


def test_nobody_imports_the_composition_root() -> None:
    for name, used in USES.items():
        if not within(name, "taskmanager"):
            assert not any(within(u, "taskmanager") for u in used), name


def entry_point(name: str) -> str:
    return next((point for point in ENTRY_POINTS if within(name, point)), "")


def test_entry_points_do_not_import_each_other_and_nothing_below_imports_one() -> None:
    excused = {
        ("notifications.recovery", "notifications.tasks"),  # the sweep sends this Celery task a message
        ("notifications.routing", "notifications.consumers"), ("notifications.routing", "notifications.pages"),
        ("notifications.api", "tasks_app.api"), ("notifications.pages", "tasks_app.pages"),  # see above
    }  # fmt: skip
    found = {
        (entry_point(name) or name, entry_point(used))
        for name, every in USES.items()
        for used in every
        if entry_point(used) and entry_point(used) != entry_point(name) and not within(name, "taskmanager")
    }
    assert found - excused == set()


CORE = {
    "models": set(), "signals": set(), "exceptions": set(), "backoff": set(), "background": set(), "broker": set(),
    "shutdown": set(), "clock": set(), "database": {"shutdown"}, "leases": {"clock", "models"},
    "strict_json": set(), "sqlite": set(), "inserts": set(),
    "statements": {"clock", "database", "inserts", "models"},
    "history": {"models", "signals", "statements"},
    "pipeline": {"background", "broker", "clock", "models", "statements"},
    "handlers": {"backoff", "exceptions", "handlers"},
    "validation": {"exceptions", "handlers", "strict_json"},
    "isolation": set(), "surroundings": set(), "tracebacks": set(),
    "effects": {"models"},
    "lifecycle": {
        "clock", "effects", "exceptions", "handlers", "history", "models", "pipeline", "statements", "strict_json",
        "validation",
    },
    "watchdog": {"background", "clock", "lifecycle", "models", "shutdown", "surroundings"},
    "attempts": {
        "clock", "exceptions", "handlers", "isolation", "lifecycle", "models", "tracebacks", "validation",
    },
    "runner": {
        "attempts", "database", "exceptions", "handlers", "lifecycle", "models", "shutdown", "surroundings", "watchdog",
    },
    "recovery": {"broker", "clock", "database", "idempotency", "leases", "lifecycle", "models", "pipeline"},
    "quarantine": {"broker", "clock", "exceptions", "models"},
    "tasks": {"database", "runner"},
}  # fmt: skip
"""Module of the domain's core → what of the domain it may import."""


@pytest.mark.parametrize("module", CORE)
def test_the_core_of_the_domain_imports_downwards_only(module: str) -> None:
    for name, used in USES.items():
        if within(name, f"tasks_app.{module}"):
            known = {u.split(".")[1] for u in used if u.startswith("tasks_app.")}
            assert known - CORE[module] == set(), name


def test_no_module_imports_itself_in_a_circle() -> None:
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " → ".join([*way, name])
        if name in done:
            return
        for used in sorted(USES[name]):
            # A package's __init__ that gathers its own modules is no circle.
            if used in USES and not within(name, used):
                visit(used, (*way, name))
        done.add(name)

    for name in USES:
        visit(name, ())


# ---- What only some may do -------------------------------------------------------------------------------------------


def users_of(pattern: str) -> set[str]:
    """Modules whose code, comments and texts aside, holds something."""
    return {name for name, path in MODULES.items() if re.search(pattern, ast.unparse(_without_texts(path)))}


def _without_texts(path: Path) -> ast.AST:
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = ""
    return tree


def test_transactions_begin_where_facts_are_written() -> None:
    assert users_of(r"\batomic\(|\batomic\b(?!_)") <= {
        "tasks_app.lifecycle", "tasks_app.recovery", "notifications.deliveries", "notifications.outbox",
        "notifications.endpoints", "notifications.replays",  # what people change, which is no task either
        "tasks_app.quarantine",  # messages, which are no tasks
        "tasks_app.idempotency",  # docs/decisions: a POST and its remembered answer commit together
    }  # fmt: skip


def test_requests_are_made_in_one_place() -> None:
    assert {name for name, used in USES.items() if any(within(u, "requests", "urllib3") for u in used)} <= {
        "notifications.sender", "notifications.connection",
    }  # fmt: skip
    assert {name for name, used in USES.items() if any(within(u, "requests") for u in used)} == {"notifications.sender"}
    assert not any(within(u, "httpx", "urllib.request", "aiohttp") for used in USES.values() for u in used)


def test_no_code_asks_how_large_the_installation_is() -> None:
    """No `if embedded`: settings decide."""
    assert users_of(r"\b(EMBEDDED_DATABASE|STANDALONE)\b") <= {"taskmanager.settings", "taskmanager.standalone"}


def test_tasks_are_written_by_the_verbs_only() -> None:
    writing = r"\bTask\.objects\.(create|bulk_create|bulk_update|update_or_create|get_or_create)\("
    assert users_of(writing) <= {"tasks_app.lifecycle", "tasks_app.statements"}


# ---- Files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_a_module_says_what_lives_in_it_and_is_not_long(path: Path) -> None:
    source = path.read_text()
    assert len(source.splitlines()) <= 400
    if source.strip():
        assert ast.get_docstring(ast.parse(source))


class Elements(HTMLParser):
    """The root elements of a template with their ids, and attributes that a strict Content-Security-Policy forbids."""

    VOID = frozenset(
        {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
    )

    def __init__(self, source: str) -> None:
        super().__init__()
        self.depth = self.envelopes = 0
        self.roots: list[tuple[str, str]] = []
        self.forbidden: list[str] = []
        self._in = ""
        source = re.sub(r"\{%\s*comment.*?endcomment\s*%\}|\{#.*?#\}", "", source, flags=re.DOTALL)
        self.feed(re.sub(r"\{%.*?%\}", "", re.sub(r"\{\{.*?\}\}", "x", source, flags=re.DOTALL), flags=re.DOTALL))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        if (names.get("hx-swap-oob") or "").partition(":")[2]:  # an envelope that htmx takes off
            self.envelopes += 1
        elif self.depth <= self.envelopes:
            self.roots.append((tag, names.get("id") or ""))
        self.forbidden += [
            f"<{tag} {name}>"
            for name, value in attrs
            if name == "style"
            or name.startswith(("on", "hx-on"))
            or (value or "").strip().lower().startswith("javascript:")
        ]
        if tag == "style" or (tag == "script" and "src" not in names and names.get("type") != "application/json"):
            self.forbidden.append(f"<{tag}>")
        if tag not in self.VOID:
            self.depth += 1

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        depth = self.depth
        self.handle_starttag(tag, attrs)
        self.depth = depth

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            self.depth -= 1


def template_name(path: Path) -> str:
    return str(path.relative_to(ROOT / "templates"))


@pytest.mark.parametrize("path", TEMPLATES, ids=template_name)
def test_a_template_holds_no_script_and_no_style_of_its_own(path: Path) -> None:
    assert Elements(path.read_text()).forbidden == []


PARTIALS = [path for path in TEMPLATES if path.name.startswith("_")]
NEVER_SENT_ALONE = {
    "tasks_app/_htmx.html", "tasks_app/_htmx_core.html", "tasks_app/_help.html", "tasks_app/_live.html",
    "tasks_app/_page_end.html",  # a page's frame
    "tasks_app/_payload_field.html",  # one of several in a form
    "tasks_app/_created.html",  # an answer put together from partials
}  # fmt: skip
"""Those that no fetch and no socket replaces as one element."""


@pytest.mark.parametrize("path", PARTIALS, ids=template_name)
def test_a_partial_is_one_element_with_an_id_and_names_its_context_first(path: Path) -> None:
    source = path.read_text()
    if template_name(path) not in NEVER_SENT_ALONE:
        roots = Elements(source).roots
        assert len(roots) == 1 and roots[0][1], roots
    assert re.match(r"\s*(\{%\s*(load|comment)|\{#)", source)


def test_what_is_included_is_a_partial_and_there() -> None:
    names = {template_name(path) for path in TEMPLATES}
    included = {
        (template_name(path), name)
        for path in TEMPLATES
        for name in re.findall(r"\{%\s*include\s+[\"']([^\"']+)[\"']", path.read_text())
    }
    djangos_own = {("admin/base_site.html", "admin/color_theme_toggle.html")}
    wrong = {pair for pair in included if pair[1] not in names or not Path(pair[1]).name.startswith("_")}
    assert wrong - djangos_own == set()


# ---- Tests -----------------------------------------------------------------------------------------------------------

CLOCKS = {"monotonic", "perf_counter", "time", "process_time"}
TESTS = sorted(path for path in (ROOT / "tests").rglob("*.py"))


def _reads_a_clock(node: ast.AST) -> bool:
    return any(
        isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute) and part.func.attr in CLOCKS
        and isinstance(part.func.value, ast.Name) and part.func.value.id == "time"
        for part in ast.walk(node)
    )  # fmt: skip


def _upper_bounds(tree: ast.AST) -> Iterator[int]:
    """Lines that assert that no more than so many seconds have passed."""
    for assertion in ast.walk(tree):
        if not isinstance(assertion, ast.Assert):
            continue
        for node in ast.walk(assertion):
            if not isinstance(node, ast.Compare):
                continue
            sides = [node.left, *node.comparators]
            for before, how, after in zip(sides, node.ops, sides[1:], strict=False):
                less, more = (before, after) if isinstance(how, (ast.Lt, ast.LtE)) else (after, before)
                if _reads_a_clock(less) and not _reads_a_clock(more):
                    yield node.lineno


@pytest.mark.parametrize("path", TESTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_test_is_judged_by_the_clock(path: Path) -> None:
    """A machine may be slow or busy. Figures of time belong to benchmarks/ and to the report of `make chaos`."""
    assert [*_upper_bounds(ast.parse(path.read_text()))] == []
