"""Database connections: where they are opened, how often, and who keeps them."""
