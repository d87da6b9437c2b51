"""What all pools of database connections have: errors, statistics, counters, how they name who has what."""
