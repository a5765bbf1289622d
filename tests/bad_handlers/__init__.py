"""A Django app of handlers that misbehave, installed by EXTRA_APPS=tests.bad_handlers."""
