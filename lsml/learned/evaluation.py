"""How well a learned rule predicts: errors per pass, and the time it takes."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import DataLoader

from lsml.learned.combined import Combined, Symmetrized
from lsml.learned.rule import LearnedRule
from lsml.learned.sample import Sample, Samples
from lsml.metrics import mase


@dataclass(frozen=True)
class Evaluation:
    """Errors of a rule on a data set.

    Attributes
    ----------
    errors : MASE in percent (Kelly & Kalidindi 2021, equation 28) of every sample after
        every pass, in the component of the load.
    seconds : per microstructure, the median over batches.
    parameters : of the networks.
    """

    errors: Float[Tensor, "n k"]
    seconds: float
    parameters: int

    @property
    def mase(self) -> Float[Tensor, " n"]:
        """After the last pass."""
        return self.errors[:, -1]

    @property
    def mean(self) -> float:
        """Mean MASE of the last pass."""
        return float(self.mase.mean())

    @property
    def std(self) -> float:
        """Its standard deviation over the samples."""
        return float(self.mase.std(correction=0))

    @property
    def worst(self) -> int:
        """The sample with the greatest error."""
        return int(self.mase.argmax())

    def summary(self) -> dict[str, Any]:
        """Numbers for a table, or JSON."""
        return {
            "samples": len(self.errors),
            "mase_mean": self.mean,
            "mase_std": self.std,
            "mase_worst": float(self.mase.max()),
            "worst_sample": self.worst,
            "mase_per_pass": self.errors.mean(0).tolist(),
            "seconds_per_microstructure": self.seconds,
            "parameters": self.parameters,
        }

    def __repr__(self) -> str:
        """Mean ± standard deviation."""
        return (
            f"Evaluation({len(self.errors)} samples, MASE {self.mean:.2f} ± "
            f"{self.std:.2f} %, worst {float(self.mase.max()):.2f} %, "
            f"{1e3 * self.seconds:.1f} ms each)"
        )


@torch.no_grad()
def evaluate(
    rule: LearnedRule,
    dataset: Samples,
    batch: int = 32,
    *,
    symmetrize: bool = False,
    workers: int = 0,
    observe: Callable[[int], None] | None = None,
) -> Evaluation:
    """Predict every sample of a data set, on the device of the rule.

    Parameters
    ----------
    batch : samples predicted together; the errors do not depend on it.
    symmetrize : average over the symmetries of the load, see :class:`Symmetrized`.
    workers : processes that read samples.
    observe : called with the number of samples of a batch when it is done.

    Raises
    ------
    ValueError
        An empty data set, or one of another kind than the rule.
    """
    if len(dataset) == 0:
        raise ValueError("the data set has no samples to evaluate")
    if symmetrize:
        rule = Symmetrized(rule, dataset[0].labels.ndim)
    rule.eval()
    device = rule.device
    place = rule.loaded
    loader: DataLoader[Sample] = DataLoader(
        dataset,  # type: ignore[arg-type]
        batch_size=batch,
        num_workers=workers,
    )
    errors, seconds = [], []
    for given in loader:
        samples = Sample(*(t.to(device) for t in given))
        began = time.perf_counter()
        iterates = rule(samples.labels)[:, :, place].float()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append((time.perf_counter() - began) / len(samples.labels))
        true = samples.strain[:, place]
        passes = [mase(iterates[:, k], true) for k in range(iterates.shape[1])]
        errors.append(torch.stack(passes, 1).cpu())
        if observe is not None:
            observe(len(true))
    parameters = sum(p.numel() for p in rule.parameters())
    return Evaluation(
        torch.cat(errors), float(torch.tensor(seconds).median()), parameters
    )


@dataclass(frozen=True)
class Calibration:
    """Whether predicted deviations are as large as the errors.

    Attributes
    ----------
    levels : shares of the voxels that should lie within a multiple of the deviation if
        errors were normal.
    found : shares that do.
    """

    levels: Float[Tensor, " q"]
    found: Float[Tensor, " q"]

    @property
    def error(self) -> float:
        """Mean distance of the two."""
        return float((self.levels - self.found).abs().mean())


@torch.no_grad()
def calibrate(rule: Combined, dataset: Samples) -> Calibration:
    """Compare errors, voxel by voxel, with the deviation of an ensemble."""
    rule.eval()
    levels = torch.linspace(0.1, 0.9, 9)
    bounds = 2**0.5 * torch.erfinv(levels)
    place, counts = rule.loaded, torch.zeros(9)
    for i in range(len(dataset)):
        sample = dataset[i]
        labels = sample.labels[None]
        memory = rule.begin(labels, rule.unit(labels))
        for k in range(rule.passes):
            memory = rule.advance(memory, k)
        error = (rule.output(memory)[0, place] - sample.strain[place]).abs()
        deviation = rule.deviation(memory)[0, place]
        inside = [(error <= z * deviation).float().mean() for z in bounds]
        counts += torch.stack(inside)
    return Calibration(levels, counts / len(dataset))
