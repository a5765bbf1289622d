"""All cases by name, and the short selection for `make test`."""

from tests.chaos import cases_embedded, cases_messages, cases_processes, cases_services
from tests.chaos.run import Case

EVERY: dict[str, Case] = {
    **cases_processes.CASES,
    **cases_services.CASES,
    **cases_messages.CASES,
    **cases_embedded.CASES,
}
SHORT = ("child_killed", "worker_frozen", "rabbitmq_killed", "postgres_restarted", "embedded_killed")
"""One of each sort; together less than four minutes."""
BRIEFER = ("child_killed", "embedded_killed", "rabbitmq_alarmed_shortly")
"""Left out of the long version, which has the same with more of it."""
CASES = {name: case for name, case in EVERY.items() if name not in BRIEFER}
