"""What all tests have in common."""

from hypothesis import settings

# The same examples in every run, however busy the machine is: a test that fails for one change and not for the next
# says nothing of either. `pytest --hypothesis-profile=default` looks for others.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")
