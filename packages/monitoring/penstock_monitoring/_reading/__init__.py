"""What is read, when somebody asks and at every interval, and how it is kept and shown."""
