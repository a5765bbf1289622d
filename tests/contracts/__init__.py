"""Every row of the two earlier systems' contracts, as their clients see it: HTTP, WebSocket, AMQP, Redis, webhooks."""
