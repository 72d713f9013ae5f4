"""All that knows a vendor. Imports only the contract and the dialects; nothing of the runtime but `compose` imports it."""
