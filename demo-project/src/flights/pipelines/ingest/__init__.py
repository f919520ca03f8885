"""Raw tables to clean ones."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
