"""The demo: a bad model served, judged and taken back on a real Kubernetes. Run it: `python -m tests.demo`."""
