"""Thumbmill's HTTP API: takes uploads, hands out tickets, tells the state of images."""
