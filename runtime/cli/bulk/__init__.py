"""Many rows through the running runtime: reading them, asking with patience, and a journal that survives being
killed.
"""
