"""Processes that speak the protocols beside the one that has the model, where there are processors for them.

The first process has everything: the model, the labels, the metrics, the ports. A front end is handed some of its
connections and does for them what takes the most time of a small request: reading, checking, writing. What it asks
and what it is told go over a socket between the two, in `packing`'s form. So a label is counted in one place, rows of
all connections go together, and memory holds the model once (decision 0018).
"""
