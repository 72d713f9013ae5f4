"""Dollars: what an answer costs. Budgets and reservations come here."""
