"""Real PostgreSQL, RabbitMQ, Redis and HTTP receivers for the tests: child processes on free loopback ports.

Nothing here imports Django. `Services` (stack.py) starts the three servers; packages.py installs them.
"""
