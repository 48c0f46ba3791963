"""gRPC: calls, their messages and codes, on top of HTTP/2."""
