"""Who may call the API: keys, their scopes, and the sessions that they open."""
