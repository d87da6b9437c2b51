"""No calls while the service fails."""
