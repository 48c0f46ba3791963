"""What every protocol asks, and what answers it."""
