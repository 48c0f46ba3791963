"""What the HTTP port answers: one module for each protocol, with its table of routes."""
