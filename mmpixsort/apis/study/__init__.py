"""Paired studies: train the arms of a comparison and report the results."""
from .plan import Arm, Place, Study, read_study

__all__ = ['Arm', 'Place', 'Study', 'read_study']
