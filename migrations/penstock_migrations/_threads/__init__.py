"""Threads, timers and executors: who starts them, and who ends them."""
