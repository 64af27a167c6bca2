"""RabbitMQ: topology, publishing, consuming, and the ack table."""
