"""Clean tables to one row of features for each flight."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
