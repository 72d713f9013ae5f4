"""The machine: processes, sockets, logs, GPUs."""
