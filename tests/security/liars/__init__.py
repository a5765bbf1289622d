"""RabbitMQ and Redis that say what nobody of ours said: the worst that they may do is delay."""
