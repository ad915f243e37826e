"""The driver: sockets, clock, entropy and processes around the core, which has none of them."""
