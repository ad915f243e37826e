"""gossipsa: distributed failover for IPsec gateways."""
