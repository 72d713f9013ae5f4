"""Model weights: found, downloaded, converted, checked."""
