"""Membership alone, simulated: up to a thousand members over many sites on one virtual clock.

The members are the very `Swim` that the daemon runs, and what they say is encoded and decoded as it travels.
"""
