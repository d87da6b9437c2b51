"""CPU time and memory of penstock_limits, side by side with installed peers: `python -m benchmarks`."""
