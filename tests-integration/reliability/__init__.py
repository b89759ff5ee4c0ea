"""Campaigns that break things at random, many times over, and count what the library lost: `make reliability`."""
