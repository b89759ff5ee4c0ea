"""The version of this distribution, read by its build and by users."""

__version__ = "0.1.0"
