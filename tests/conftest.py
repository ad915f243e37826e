"""What holds for all tests."""

from __future__ import annotations

from hypothesis import settings

# How long an example takes is the machine's business: what is fast or slow, the benchmarks say.
settings.register_profile("gossipsa", deadline=None)
settings.load_profile("gossipsa")
