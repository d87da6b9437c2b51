"""Finds threads and executors in a module, and says whether something joins, stops or shuts them down."""
