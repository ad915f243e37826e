"""Bugs planted on purpose, to see that the checkers find them: `python -m sim mutations`."""
