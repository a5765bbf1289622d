"""What log lines say beyond their message."""

import logging

from tasks_app import request_id


class RequestFilter(logging.Filter):
    """Adds ` request_id=…` to the lines of a request."""

    def filter(self, record: logging.LogRecord) -> bool:
        name = request_id.current.get()
        record.request = f" request_id={name}" if name else ""
        return True
