"""Meshes of real gossipsa daemons beside meshes of real Serf agents, on one machine and in one run.

Each agent has a network namespace of its own (`network`). Both kinds are driven and watched alike (`agent`,
`observation`): what one of them says of another becomes a `Sighting`, whoever said it.
"""
