"""Gives threads, executors and tasks that nobody owns an owner: the drop-ins of the runtime, or the reason why not."""
