"""IPsec below IKE: security associations, ESP packets, replay windows and traffic selectors. No IO."""
