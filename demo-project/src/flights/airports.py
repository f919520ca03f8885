"""The airports of origin: each has its own models, under its own namespace."""

AIRPORTS = ("EWR", "JFK", "LGA")
