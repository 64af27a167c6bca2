"""Limits of each client on one gateway: rates of requests, tickets and bytes, and its share of the places."""
