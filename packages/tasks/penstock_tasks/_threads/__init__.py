"""Threads with an owner: made, counted, told to stop, waited for, reported."""
