"""All SQL: the database, and one module per noun."""
