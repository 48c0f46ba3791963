"""The servers that models are fetched from in tests: real ones where there are such, and a network that breaks."""
