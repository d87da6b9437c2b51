"""What is in use right now, and what runs out."""
