"""What is amiss, and who is told: rules as data, for Prometheus and for the process itself."""
