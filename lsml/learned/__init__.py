"""Learned iterations: recurrent localization networks and what belongs to them."""

from lsml.learned.checkpoint import save as save
from lsml.learned.cnn import ThreeLayer as ThreeLayer
from lsml.learned.fourier import FourierNet as FourierNet
from lsml.learned.loading import load_rule as load_rule
from lsml.learned.loading import shipped as shipped
from lsml.learned.mks import MKS as MKS
from lsml.learned.recurrent import ConvGRU as ConvGRU
from lsml.learned.recurrent import Recurrent as Recurrent
from lsml.learned.rln import RLN as RLN
from lsml.learned.rule import LearnedRule as LearnedRule
from lsml.learned.vnet import VNet as VNet
from lsml.metrics import mase as mase
