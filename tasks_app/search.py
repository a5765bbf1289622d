"""What lists can be narrowed by that a plain column is not: free text and tags, each by an index on PostgreSQL.

The expressions are those of the indexes in migration 0004, letter by letter; otherwise PostgreSQL reads every row.
"""

from typing import Any

from django.db.models import BooleanField, F, Func, QuerySet, TextField, Value
from django.db.models.functions import Upper

from tasks_app.models import Task

SHORTEST_WORD = 3
"""A trigram index finds no shorter ones."""
MOST_WORDS = 8


class _Text(Func):
    template, arg_joiner, output_field = "UPPER(%(expressions)s)", " || ' ' || ", TextField()


class _HasTag(Func):
    """Tags (a JSON list of texts) hold this one."""

    arity, output_field = 2, BooleanField()

    def as_sql(self, compiler: Any, connection: Any, *_: Any, **__: Any) -> tuple[str, tuple[Any, ...]]:
        (tags, before), (tag, after) = (compiler.compile(part) for part in self.get_source_expressions())
        if connection.vendor == "postgresql":
            return f"tasks_app_tags({tags}) @> ARRAY[{tag}]::text[]", (*before, *after)
        return f"EXISTS (SELECT 1 FROM json_each({tags}) WHERE value = {tag})", (*before, *after)  # noqa: S608 - placeholders


def with_words(rows: QuerySet[Task], text: str) -> QuerySet[Task]:
    """Those whose title or description hold every word of `text`, in any case, also as parts of words."""
    rows = rows.alias(searched_text=_Text(F("title"), F("description")))
    for word in text.split():
        rows = rows.filter(searched_text__contains=Upper(Value(word)))
    return rows


def with_tag(rows: QuerySet[Task], tag: str) -> QuerySet[Task]:
    """Those that carry this tag."""
    return rows.filter(_HasTag(F("tags"), Value(tag)))
