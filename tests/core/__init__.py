"""Tests of what core does whatever the backend."""
