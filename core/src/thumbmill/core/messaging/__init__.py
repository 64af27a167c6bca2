"""RabbitMQ: topology, publishing, consuming, and what follows from a handler's failure."""
