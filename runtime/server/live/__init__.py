"""Live data for whoever looks: the feed of events, and the ring of the last hour."""
