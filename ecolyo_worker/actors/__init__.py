"""The parts that act: taking events in, counting them, sending what was counted."""
