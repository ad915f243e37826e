"""Gateways and strangers that mean harm, against the real core with real sealed bytes."""
