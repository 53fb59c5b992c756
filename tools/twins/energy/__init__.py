"""What plays Enedis and GRDF: the parts of ``energy_twin.py``."""
