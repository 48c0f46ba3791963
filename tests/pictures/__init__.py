"""Draws the Grafana dashboards from a real Prometheus, and checks that each of their queries has an answer.

Grafana itself is not needed: the dashboards' JSON says which queries to ask and how to show them.
"""
