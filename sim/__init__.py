"""The whole product in one process: gateways of the real core on a virtual clock and a bad network.

Every run follows from its seed alone, byte for byte. Faults are injected while checkers watch; then all is
healed and the mesh must come to rest. `python -m sim --help`.
"""
