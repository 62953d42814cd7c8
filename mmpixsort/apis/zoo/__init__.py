"""The model zoo: find trained models, download them, and build them."""
from .download import download_model
from .index import ZooFile, ZooModel, find_model, list_models
from .model import get_model

__all__ = [
    'ZooFile', 'ZooModel', 'download_model', 'find_model', 'get_model',
    'list_models'
]
