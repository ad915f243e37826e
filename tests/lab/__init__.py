"""The lab: stock strongSwan, real ESP and the daemon under test, on one machine.

`kernel` finds or boots a kernel with ESP, `run` is what executes inside it, `scenarios` hold
what is tried. Everything between is equipment: namespaces, charons, traffic and captures.
"""
