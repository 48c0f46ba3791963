"""A Kubernetes operator that serves models, judges them by their labels, and takes bad ones back."""
