"""Means to test with: the ledger, and what plays the other side."""
