"""The edge: everything that talks to something outside of the process. No decisions."""
