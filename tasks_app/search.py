"""What lists can be narrowed by that a plain column is not: free text, tags, and values in the payload, each by an
index on PostgreSQL.

The expressions are those of the indexes in migrations 0004, 0007 and 0011, letter by letter; otherwise PostgreSQL reads every
row.
"""

import json
import re
from typing import Any

from django.db.models import BooleanField, CharField, F, Func, Q, QuerySet, TextField, Value
from django.db.models.lookups import Contains

from tasks_app import strict_json
from tasks_app.models import Task

SHORTEST_WORD = 3
"""A trigram index finds no shorter ones."""
MOST_WORDS = 8
IN_PAYLOAD = "payload."
"""Begins the name of a filter by a value in the payload: `payload.customer.id`."""
MOST_KEYS, LONGEST_KEY, LONGEST_VALUE, MOST_PATHS = 5, 100, 200, 5
_KEY = re.compile(rf"[\w-]{{1,{LONGEST_KEY}}}")


class _Text(Func):
    template, arg_joiner, output_field = "%(expressions)s", " || ' ' || ", TextField()


class _Folded(Func):
    """Without differences of case, in any script, whatever the database's locale."""

    function, arity, output_field = "tasks_app_fold", 1, TextField()


@CharField.register_lookup
@TextField.register_lookup
class FoldedContains(Contains):
    """`icontains` in any script: on SQLite that one knows ASCII only, on PostgreSQL what the database's locale knows."""

    lookup_name = "folded_contains"

    def __init__(self, lhs: Any, rhs: Any) -> None:
        super().__init__(_Folded(lhs), _Folded(Value(rhs)))

    def get_rhs_op(self, connection: Any, rhs: str) -> str:
        return str(connection.pattern_ops["contains"].format(connection.pattern_esc).format(rhs))


class _HasTag(Func):
    """Tags (a JSON list of texts) hold this one."""

    arity, output_field = 2, BooleanField()

    def as_sql(self, compiler: Any, connection: Any, *_: Any, **__: Any) -> tuple[str, tuple[Any, ...]]:
        (tags, before), (tag, after) = (compiler.compile(part) for part in self.get_source_expressions())
        if connection.vendor == "postgresql":
            return f"tasks_app_tags({tags}) @> ARRAY[{tag}]::text[]", (*before, *after)
        return f"EXISTS (SELECT 1 FROM json_each({tags}) WHERE value = {tag})", (*before, *after)  # noqa: S608 - placeholders


class _HoldsAt(Func):
    """The payload holds this value there. Arguments: the column, and as JSON texts the value alone and where it is,
    wrapped into objects; last the path as SQLite writes it."""

    arity, output_field = 4, BooleanField()

    def as_sql(self, compiler: Any, connection: Any, *_: Any, **__: Any) -> tuple[str, tuple[Any, ...]]:
        (column, _none), (value, one), (wrapped, all_), (path, where) = (
            compiler.compile(part) for part in self.get_source_expressions()
        )
        if connection.vendor == "postgresql":
            return f"{column} @> ({wrapped})::jsonb", tuple(all_)
        # SQLite takes true for 1; the kinds are compared first.
        found, kind = f"json_extract({column}, {path})", f"json_type({column}, {path})"
        kinds = f"replace({kind}, 'real', 'integer') = replace(json_type({value}), 'real', 'integer')"
        # It compares numbers as floats; those that are equal so are compared as they are written.
        exact = f"({kind} NOT IN ('integer', 'real') OR tasks_app_same_number({column} -> {path}, {value}))"
        sql = f"({kinds} AND coalesce({found}, '') = coalesce(json_extract({value}, '$'), '') AND {exact})"
        return sql, (*where, *one, *where, *one, *where, *where, *one)


def path_error(name: str) -> str:
    """What is wrong with the name of a filter that begins with `payload.`, or an empty text."""
    keys = name.removeprefix(IN_PAYLOAD).split(".")
    if len(keys) > MOST_KEYS:
        return f"At most {MOST_KEYS} keys, with dots between."
    if not all(_KEY.fullmatch(key) for key in keys):
        return f"After payload. come keys with dots between, each 1 to {LONGEST_KEY} letters, digits, _ or -."
    return ""


def with_value(rows: QuerySet[Task], name: str, text: str) -> QuerySet[Task]:
    """Those whose payload holds `text` at the path (`payload.customer.id`): as a text, or as what it says as JSON."""
    keys = name.removeprefix(IN_PAYLOAD).split(".")
    path = "$" + "".join(f".{json.dumps(key)}" for key in keys)
    asked = Q()
    for value in _readings(text):
        wrapped = value
        for key in reversed(keys):
            wrapped = {key: wrapped}
        asked |= Q(_HoldsAt(F("payload"), Value(json.dumps(value)), Value(json.dumps(wrapped)), Value(path)))
    return rows.filter(asked)


def _readings(text: str) -> list[Any]:
    try:
        value = strict_json.read(text)
    except (ValueError, RecursionError):
        return [text]
    return [text, value] if value is None or isinstance(value, bool | int | float) else [text]


def with_words(rows: QuerySet[Task], text: str) -> QuerySet[Task]:
    """Those whose title or description hold every word of `text`, in any case, also as parts of words."""
    rows = rows.alias(searched_text=_Text(F("title"), F("description")))
    for word in text.split():
        rows = rows.filter(searched_text__folded_contains=word)
    return rows


def with_tag(rows: QuerySet[Task], tag: str) -> QuerySet[Task]:
    """Those that carry this tag."""
    return rows.filter(_HasTag(F("tags"), Value(tag)))
