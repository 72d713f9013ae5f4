"""One request from ask to settled, without a door."""
