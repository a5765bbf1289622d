"""Rows of a model as one JSON parameter: an INSERT of any size is the same statement. For PostgreSQL."""

import json
from collections.abc import Collection, Sequence

from django.db import connection
from django.db.models import Model


class JsonInsert:
    """`text` inserts what `rows` makes of objects, given as the parameter named. It knows nothing of what the rows mean."""

    def __init__(self, model: type[Model], parameter: str, *, without: Collection[str] = ()) -> None:
        self._fields = [field for field in model._meta.concrete_fields if field.name not in without]
        columns = ", ".join(str(field.column) for field in self._fields)
        types = ", ".join(f"{field.column} {field.db_type(connection)}" for field in self._fields)
        self.text = (
            f"INSERT INTO {model._meta.db_table} ({columns}) "
            f"SELECT {columns} FROM json_to_recordset(%({parameter})s::json) AS item ({types})"
        )

    def rows(self, objects: Sequence[Model]) -> str:
        """The values of these, in their order."""
        names = [(str(field.column), field.attname) for field in self._fields]
        return json.dumps([{column: getattr(item, name) for column, name in names} for item in objects], default=str)
