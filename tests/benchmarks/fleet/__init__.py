"""The operator with up to a thousand models, beside plain Deployments and a bare client that writes the same."""
