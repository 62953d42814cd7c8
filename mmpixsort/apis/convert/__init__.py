"""Convert checkpoints of other code bases to those of this package."""
from .checkpoint import convert_checkpoint, describe_conversion
from .contrastiveseg import convert_contrastiveseg
from .layout import Conversion, Layout, apply_layout
from .spml import convert_spml

__all__ = [
    'Conversion', 'Layout', 'apply_layout', 'convert_checkpoint',
    'convert_contrastiveseg', 'convert_spml', 'describe_conversion'
]
