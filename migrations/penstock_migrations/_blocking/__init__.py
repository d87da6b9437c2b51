"""Recognises what blocks a thread, what ships work to threads, and how a coroutine comes to it."""
