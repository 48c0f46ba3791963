"""The protocols that clients speak. Pure: bytes in, arrays out, and back."""
