"""Knows the code of one module: names, functions, sizes, limits, and what other modules of the project say."""
