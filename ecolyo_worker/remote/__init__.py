"""Requests to other machines; every answer comes back as one value of one outcome type."""
