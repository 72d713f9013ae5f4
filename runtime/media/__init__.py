"""Media given by address: fetching, which addresses are public, media types."""
