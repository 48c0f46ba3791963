"""Grafana dashboards as typed Python: `python -m manifests.dashboards` writes them as JSON.

Classic dashboard JSON, which Grafana 10.4 to 12 read alike; Grafana's own SDK warns that it has a successor.
"""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import grafana_foundation_sdk.builders.dashboard
    import grafana_foundation_sdk.builders.prometheus  # noqa: F401  # Here, so that they warn here.
