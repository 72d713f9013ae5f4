"""State that the Hearths of a fleet share in one Valkey. Imported only with `[fleet] store`."""
