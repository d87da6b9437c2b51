"""What blocks an event loop, or ships HTTP to threads."""
