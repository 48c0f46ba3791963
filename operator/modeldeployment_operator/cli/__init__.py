"""`kubectl model`: what becomes of models, why, and what their user may ask for, from a terminal.

It reads ModelDeployments as the API server tells of them, and writes annotations that the operator understands; never
a spec, never a status. `kubectl.py`, `watch.py`, `prometheus.py`, `stream.py` and `commands/` read and write; the rest
is pure, `text/` among it.
"""
