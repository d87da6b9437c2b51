"""HTTP clients: what guards a request, and what opens, lends and closes clients."""
