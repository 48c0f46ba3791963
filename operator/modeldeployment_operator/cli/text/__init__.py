"""What is printed, made from what was read: pure, so that every line of it can be held against a test."""
