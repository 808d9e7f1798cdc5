"""Learned iterations: recurrent localization networks and what belongs to them."""

from lsml.learned.checkpoint import save as save
from lsml.learned.cnn import ThreeLayer as ThreeLayer
from lsml.learned.combined import Ensemble as Ensemble
from lsml.learned.combined import MonteCarlo as MonteCarlo
from lsml.learned.combined import Superposed as Superposed
from lsml.learned.combined import Symmetrized as Symmetrized
from lsml.learned.curriculum import Curriculum as Curriculum
from lsml.learned.curriculum import Task as Task
from lsml.learned.curriculum import task as task
from lsml.learned.encodings import Encodings as Encodings
from lsml.learned.evaluation import Calibration as Calibration
from lsml.learned.evaluation import Evaluation as Evaluation
from lsml.learned.evaluation import calibrate as calibrate
from lsml.learned.evaluation import evaluate as evaluate
from lsml.learned.fourier import FourierNet as FourierNet
from lsml.learned.label_free import train_label_free as train_label_free
from lsml.learned.loading import load_rule as load_rule
from lsml.learned.loading import shipped as shipped
from lsml.learned.mks import MKS as MKS
from lsml.learned.multipreconditioned import (
    Multipreconditioned as Multipreconditioned,
)
from lsml.learned.plan import Plan as Plan
from lsml.learned.recurrent import ConvGRU as ConvGRU
from lsml.learned.recurrent import Recurrent as Recurrent
from lsml.learned.rln import RLN as RLN
from lsml.learned.rule import LearnedRule as LearnedRule
from lsml.learned.tensor_basis import TensorBasis as TensorBasis
from lsml.learned.training import train as train
from lsml.learned.vnet import VNet as VNet
from lsml.metrics import mase as mase
