"""What is measured: one definition of each metric, from which the collector, the bridge, alerts and pages are made."""
