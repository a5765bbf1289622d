"""What log lines say beyond their message."""

import logging

from tasks_app import request_id


class RequestFilter(logging.Filter):
    """Adds ` request_id=…` to the lines of a request, and leaves out where in Django a client's mistake was noticed.

    A traceback is about an error of ours. Without this anybody fills the log with them, by a wrong Host alone.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        name = request_id.current.get()
        record.request = f" request_id={name}" if name else ""
        if 400 <= getattr(record, "status_code", 0) < 500:
            record.exc_info = record.exc_text = None
        return True
