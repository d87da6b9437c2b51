"""What the drop-ins for the drivers share: places, queues, sessions that wait for their next borrower."""
