"""What happened: decision records, metrics, the shape of the status report. Decides nothing, holds no prompt text."""
