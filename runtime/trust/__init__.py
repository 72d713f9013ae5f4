"""Who may do what: callers, keys and scopes."""
