"""What Prometheus is told, of one process or of several."""
