"""Client wires. A dialect knows bytes and shapes of one wire; it knows no target, no plan and no network."""
