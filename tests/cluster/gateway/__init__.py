"""A real implementation of the Gateway API: Envoy Gateway, compiled from its Go module, and Envoy."""
