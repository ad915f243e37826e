"""Every decoder of the product against input that nobody sane sends: see README.md."""
