"""Tasks with an owner: the manager, its scopes, services and periodic jobs, how they end, and what can be seen."""
