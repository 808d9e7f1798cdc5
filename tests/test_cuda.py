"""The same numbers on an accelerator, which the input's device alone chooses."""

import pytest
import torch

import lsml

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no CUDA device on this machine"
)


@pytest.mark.parametrize("discretization", ["fourier", "rotated", "hex8", "hex8-bbar"])
@pytest.mark.parametrize("rule", ["cg", "moulinec", "steepest_descent"])
def test_cuda_equals_cpu(rule, discretization):
    """Theorem: the device changes nothing; catches a tensor left on the CPU."""
    generator = torch.Generator().manual_seed(4)
    labels = (torch.rand(3, 7, 6, 5, generator=generator) < 0.4).to(torch.uint8)
    load = lsml.load(
        strain=[1e-3, None, 0, 0, 0, 0], stress=[None, 0, None, None, None, None]
    )
    phases = [lsml.isotropic(E=1.0, nu=0.3), lsml.isotropic(E=20.0, nu=0.2)]
    here, there = (
        lsml.solve(
            lsml.elasticity(image, phases, load, discretization, spacing=(1, 2, 0.5)),
            rule,
            tol=1e-10,
        )
        for image in (labels, labels.cuda())
    )
    assert there.strain.is_cuda
    torch.testing.assert_close(there.strain.cpu(), here.strain, rtol=0, atol=1e-12)
    torch.testing.assert_close(there.stress.cpu(), here.stress, rtol=0, atol=1e-11)


@pytest.mark.parametrize("ndim", [2, 3])
def test_learned_rules_on_cuda_equal_those_on_cpu(ndim):
    """Theorem: weights and problem on another device give the same field.

    Catches indicators, margins or amplitudes that stay on the CPU.
    """
    torch.manual_seed(0)
    rule = lsml.learned.RLN(lsml.learned.VNet(6, 1, ndim).double(), 3, tied=True)
    labels = torch.randint(0, 2, (2, 7, 6, 5)[: ndim + 1])
    load = lsml.load(strain=[1e-3] + [0.0] * (3 * ndim - 4))
    here = lsml.solve(labels, rule, load=load)
    there = lsml.solve(labels.cuda(), rule.cuda(), load=load)
    assert there.predicted.is_cuda
    gap = (there.predicted.cpu() - here.predicted).abs().max()
    assert float(gap) < 1e-10 * 1e-3
    torch.testing.assert_close(there.error.cpu(), here.error, rtol=1e-8, atol=0)
