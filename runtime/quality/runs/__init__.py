"""Runs over golden sets: asked, graded, stored, and started by themselves at night."""
