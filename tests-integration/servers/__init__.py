"""Real servers for the tests: found, started, and ended again."""
