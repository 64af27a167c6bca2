"""The sandbox: decoder processes, their limits, and the protocol between parent and child."""
