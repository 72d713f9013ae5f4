"""Reading a request's facts off its parsed body: tokens, modalities, task, hints. Pure."""
