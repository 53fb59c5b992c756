"""What Enedis and GRDF say, as points: pure functions, without clock, network or database.

The rules are those of the specification's page on energy.
"""
