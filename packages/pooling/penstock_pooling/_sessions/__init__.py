"""Pools of sessions for drivers that have none: places, who waits for them, and what is open while nobody has it."""
