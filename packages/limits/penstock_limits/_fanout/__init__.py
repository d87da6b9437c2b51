"""Many coroutines at once, no more than a limit admits."""
