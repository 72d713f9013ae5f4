"""`hearth eval`: golden sets, their runs and what follows from them. Each command has a module of its own."""
