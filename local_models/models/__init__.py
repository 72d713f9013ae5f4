"""Several models on one box: the life of each, and the plan that shares the memory between them."""
