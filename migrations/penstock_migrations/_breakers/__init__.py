"""Circuit breakers, what they guard, and the ways around them."""
