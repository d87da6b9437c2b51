"""Does an adaptive limit find a capacity that nobody told it? In virtual time, against services of our own."""
