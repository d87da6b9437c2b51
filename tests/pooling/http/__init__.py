"""Tests of HTTP clients and what guards them."""
