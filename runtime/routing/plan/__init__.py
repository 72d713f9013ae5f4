"""The decision: from facts, the fleet and the settings to an ordered list of candidates. Pure."""
