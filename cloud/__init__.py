"""Everything that knows a vendor. Imports the contract, `wire` and the dialects; only `compose` and `cli` import it."""
