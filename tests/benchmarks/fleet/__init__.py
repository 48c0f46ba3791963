"""The operator with hundreds and thousands of models, beside plain Deployments and a bare client that writes the same."""
