"""Decision records, their store and metrics. Decides nothing, holds no prompt text."""
