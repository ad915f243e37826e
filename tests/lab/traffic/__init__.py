"""Traffic through the tunnels, each kind a program of its own that runs inside a namespace."""
