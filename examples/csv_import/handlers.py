"""The kind `csv_import`: reads a file of contacts from DATA_DIR/imports into a table of this app, all of it or nothing."""

import csv
import time
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from examples.csv_import.models import Contact
from tasks_app.handlers import PermanentError, RetryableError, TaskContext, exponential, handler

COLUMNS = {"email", "name"}
MAX_ROWS = 1_000_000
BATCH = 500


@handler(
    "csv_import",
    schema={
        "type": "object",
        "required": ["file"],
        "additionalProperties": False,
        "properties": {
            # No slash, so that nobody reads files elsewhere.
            "file": {"title": "File in DATA_DIR/imports", "type": "string", "pattern": r"^[A-Za-z0-9_-]{1,100}\.csv(?![\s\S])"},
            "rows_per_second": {"title": "Go slowly", "type": "number", "exclusiveMinimum": 0},
        },
    },
    example={"file": "contacts.csv"},
    timeout=600,
    max_attempts=10,
    backoff=exponential(first=1),
)  # fmt: skip
def csv_import(payload: dict[str, Any], context: TaskContext) -> dict[str, int]:
    """Imports the contacts in a CSV file with the columns email and name; rows without an address are skipped and logged."""
    path = settings.DATA_DIR / "imports" / payload["file"]
    contacts: dict[str, Contact] = {}
    skipped = 0
    rows = _rows(path)
    for number, row in enumerate(rows, start=1):
        context.check()  # leaves here once the task was cancelled or took too long
        try:
            validate_email(row["email"])
            name = (row["name"] or "").replace("\0", "")[:200]
            contacts[row["email"].lower()] = Contact(email=row["email"].lower(), name=name)
        except ValidationError:
            skipped += 1
            context.log(f"Row {number} skipped: {str(row['email'])[:100]!r} is no e-mail address.")
        context.progress(100 * number / len(rows), f"{number} of {len(rows)} rows")
        if "rows_per_second" in payload:
            time.sleep(1 / payload["rows_per_second"])

    def write() -> None:
        Contact.objects.bulk_create(
            contacts.values(), batch_size=BATCH, update_conflicts=True, unique_fields=["email"], update_fields=["name"]
        )

    context.on_success(write)  # in the transaction that makes the task DONE: exactly once, or never
    return {"imported": len(contacts), "skipped": skipped}


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = COLUMNS - set(reader.fieldnames or ())
            if missing:
                raise PermanentError(f"The file has no column {', '.join(sorted(missing))}.", code="column_missing")
            rows = [row for row, _ in zip(reader, range(MAX_ROWS + 1), strict=False)]
    except FileNotFoundError:  # on its way, perhaps: asked again after the backoff
        raise RetryableError(f"There is no file {path.name} yet.", code="file_missing") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise PermanentError(f"The file cannot be read as CSV in UTF-8: {error}", code="bad_file") from error
    if len(rows) > MAX_ROWS:
        raise PermanentError(f"The file has over {MAX_ROWS:,} rows.", code="too_many_rows")
    return rows
