"""The ModelDeployment resource: its spec, status and conditions, and the CRD made from them. Pure."""
