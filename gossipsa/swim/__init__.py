"""Membership: who is in the mesh, who is alive, and since when not. Knows nothing of clients and SAs.

Use `Swim`; `settings` holds the profiles, `outputs` what comes out, `messages` what travels.
"""
