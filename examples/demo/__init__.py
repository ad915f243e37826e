"""Two hundred clients lose their gateway and carry on: a mesh of real daemons on loopback, without root.

``python -m examples.demo`` starts gateways (processes of their own, with the in-memory kernel), gives them
clients, kills one gateway with SIGKILL and shows what happens: live, then as a timeline and as a picture.
It ends with an error if any client was cut off, any sequence number was used twice under one key, or two
gateways served one client.
"""
