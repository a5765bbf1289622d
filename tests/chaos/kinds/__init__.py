"""A Django app of handlers that end their process, installed by EXTRA_APPS=tests.chaos.kinds."""
