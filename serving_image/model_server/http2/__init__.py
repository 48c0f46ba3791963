"""HTTP/2 for gRPC: connections and streams, with limits."""
