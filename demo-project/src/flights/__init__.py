"""Arrival delays of the flights that left New York in 2013."""

__version__ = "0.1.0"
