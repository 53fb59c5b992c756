"""The service: what runs by itself next to a host, and what is asked of it from outside."""
