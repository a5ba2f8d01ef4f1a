"""Layers and networks as ordinary torch modules."""

from edgewise.nn.attention import KANEncoderLayer
from edgewise.nn.blocks import KANBlock, stack
from edgewise.nn.channels import update_grids
from edgewise.nn.conv import KANConv1d, KANConv2d, KANConv3d
from edgewise.nn.conv_transpose import KANConvTranspose1d, KANConvTranspose2d, KANConvTranspose3d
from edgewise.nn.forecast import TKAT
from edgewise.nn.layer import KANLayer
from edgewise.nn.network import Network
from edgewise.nn.nodes import Nodes
from edgewise.nn.rational import GRKAN, GroupRational
from edgewise.nn.recurrent import TKAN, TKANCell
from edgewise.nn.trace import Trace
from edgewise.nn.wavelet import EdgeWavelets

__all__ = [
    "GRKAN",
    "TKAN",
    "TKAT",
    "EdgeWavelets",
    "GroupRational",
    "KANBlock",
    "KANConv1d",
    "KANConv2d",
    "KANConv3d",
    "KANConvTranspose1d",
    "KANConvTranspose2d",
    "KANConvTranspose3d",
    "KANEncoderLayer",
    "KANLayer",
    "Network",
    "Nodes",
    "TKANCell",
    "Trace",
    "stack",
    "update_grids",
]
