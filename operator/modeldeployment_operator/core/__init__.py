"""What the operator thinks: pure functions from what was observed to what should be. No IO, clock or randomness."""
