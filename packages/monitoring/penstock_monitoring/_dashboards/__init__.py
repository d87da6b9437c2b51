"""What Grafana shows: boards as data, made of the same metrics and rules, and written as Grafana loads them."""
