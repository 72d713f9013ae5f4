"""Targets as they are now: pictures, claims, breakers, lent accounts."""
