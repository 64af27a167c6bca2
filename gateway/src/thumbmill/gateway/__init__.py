"""The HTTP API of Thumbmill: uploads, tickets, image status and downloads."""
