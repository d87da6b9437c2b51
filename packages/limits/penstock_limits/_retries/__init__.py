"""A call that failed, tried again; and a slow one, tried twice at once."""
