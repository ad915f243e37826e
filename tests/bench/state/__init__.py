"""What it costs to keep the state of many clients on three gateways, beside the floor of the same work.

The floor is plain MessagePack and PyNaCl in one process (`floor`): no protocol, no order, no safety.
"""
