"""Two models for each airport of origin, and how good they are."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
