"""The proximal networks: each is the formula it stands for, on any periodic grid."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from lsml.learned.cnn import ThreeLayer
from lsml.learned.fourier import FourierNet, SpectralLayer
from lsml.learned.recurrent import ConvGRU
from lsml.learned.vnet import VNet, margins

GRIDS = [(5, 3, 4), (4, 1, 6), (1, 1, 1), (5, 8), (1, 7), (2, 1)]
CONVOLUTION = {2: functional.conv2d, 3: functional.conv3d}
UPWARDS = {2: functional.conv_transpose2d, 3: functional.conv_transpose3d}


def numbers(*shape, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=draw, dtype=torch.float64)


def drawn(network, seed=1):
    """The network in float64 with every parameter, slopes too, drawn anew."""
    network = network.double().eval()
    for i, p in enumerate(network.parameters()):
        p.data = 0.3 * numbers(*p.shape, seed=seed + i)
    return network


def padded(v, before, after):
    """Continued periodically, by NumPy."""
    d = v.ndim - 2
    width = [(0, 0), (0, 0), *zip(before, after, strict=True)]
    return torch.from_numpy(np.pad(v.numpy(), width[: d + 2], mode="wrap"))


def convolved(v, state, layer):
    """Periodic convolution of odd width from a state_dict."""
    w, d = state[f"{layer}.weight"], v.ndim - 2
    half = [w.shape[-1] // 2] * d
    return CONVOLUTION[d](padded(v, half, half), w, state[f"{layer}.bias"])


def rectified(v, state, layer):
    slope = state[f"{layer}.weight"].reshape(-1, *[1] * (v.ndim - 2))
    return torch.where(v > 0, v, slope * v)


def straight_vnet(v, s):
    """Figure 3 of Kelly & Kalidindi, a line for each layer."""
    shape, d = v.shape[2:], v.ndim - 2
    total = [next(m for m in range(n + 4, n + 9) if m % 4 == 0) - n for n in shape]
    before = [t // 2 for t in total]
    v = padded(v, before, [t - b for t, b in zip(total, before, strict=True)])
    for i in range(2):
        v = rectified(convolved(v, s, f"begin.{i}.0"), s, f"begin.{i}.1")
    low = CONVOLUTION[d](v, s["down.0.weight"], s["down.0.bias"], stride=2)
    low = rectified(low, s, "down.1")
    for i in range(2):
        low = rectified(convolved(low, s, f"coarse.{i}.0"), s, f"coarse.{i}.1")
    high = UPWARDS[d](low, s["up.0.weight"], s["up.0.bias"], stride=2)
    v = torch.cat([rectified(high, s, "up.1"), v], 1)
    v = rectified(convolved(v, s, "end.0.0"), s, "end.0.1")
    v = convolved(convolved(v, s, "end.1"), s, "out")
    inside = [slice(b, b + n) for b, n in zip(before, shape, strict=True)]
    return v[(slice(None), slice(None), *inside)]


def test_the_published_v_net_has_132801_parameters():
    """Six channels in and one out, in 3-D; catches a layer or a slope too many."""
    assert sum(p.numel() for p in VNet(6, 1).parameters()) == 132_801


def test_31_voxels_are_padded_by_two_and_three():
    """As in the authors' code; every axis ends at a multiple of 4 that adds 4 to 7."""
    assert margins((31, 32, 1)) == [(2, 3), (2, 2), (3, 4)]


@pytest.mark.parametrize("shape", [(10, 4, 2), (8, 6)])
def test_without_a_margin_a_v_net_commutes_with_shifts_by_its_stride(shape):
    """On even edges; with the authors' margin it does not, because of the seam.

    Catches a margin left on an even axis, and one missing on an odd axis, where the
    strided convolution would drop the last voxel.
    """
    network = drawn(VNet(4, 2, len(shape), continued="odd"))
    v, by = numbers(2, 4, *shape), [2] * len(shape)
    axes = list(range(2, v.ndim))
    torch.testing.assert_close(
        network(v.roll(by, axes)), network(v).roll(by, axes), rtol=1e-10, atol=1e-12
    )
    assert margins((31, 32, 1, 2), "odd") == [(2, 3), (0, 0), (3, 4), (0, 0)]
    authors = drawn(VNet(4, 2, len(shape)))
    seam = (authors(v.roll(by, axes)) - authors(v).roll(by, axes)).detach()
    assert float(seam.abs().max()) > 1e-3 * float(authors(v).detach().abs().max())


def test_unknown_margins_are_refused():
    """In one sentence, before anything is made."""
    with pytest.raises(ValueError, match="'always' or 'odd'"):
        VNet(4, 2, continued="never")


@pytest.mark.parametrize("shape", [(5, 3, 6), (4, 1, 7), (5, 8)])
@pytest.mark.parametrize("batch", [1, 3])
def test_v_net_is_its_layers_one_after_the_other(shape, batch):
    """Against functional convolutions of fields that NumPy continues periodically.

    Catches skip and coarse channels exchanged, an activation after the last
    convolution of width 3, zeros at the border, and a crop off by one voxel.
    """
    network = drawn(VNet(4, 2, len(shape)))
    v = numbers(batch, 4, *shape)
    want = straight_vnet(v, network.state_dict())
    torch.testing.assert_close(network(v), want, rtol=1e-10, atol=1e-12)


def test_a_v_net_by_hand():
    """Kernels that copy, average and subtract: the answer on five voxels by hand.

    Five are padded by three and four, so pairs are (4, 0), (1, 2), (3, 4) and the
    output is the mean of the pair minus twice the voxel. The first slope is a half.
    """
    network = VNet(1, 1, 2).double()
    for name, p in network.named_parameters():
        p.data.fill_(1.0 if p.ndim == 1 and name.endswith(".1.weight") else 0.0)
    s = dict(network.named_parameters())
    s["begin.0.1.weight"].data.fill_(0.5)
    for layer in ("begin.0.0", "begin.1.0", "coarse.0.0", "coarse.1.0", "end.0.0"):
        s[f"{layer}.weight"].data[0, 0, 1, 1] = 1.0
    s["down.0.weight"].data[0, 0] = 0.25
    s["up.0.weight"].data[0, 0] = 1.0
    s["end.0.0.weight"].data[1, 32, 1, 1] = 1.0  # the first fine channel
    s["end.1.weight"].data[0, :2, 1, 1] = torch.tensor([1.0, -2.0])
    s["out.weight"].data[0, 0] = 1.0
    column = torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0], dtype=torch.float64)
    v = column.reshape(1, 1, 5, 1).expand(1, 1, 5, 3)
    by_hand = torch.tensor([8.5 - 2, 3 - 4, 3 - 8, 12 - 16, 12 - 32]).double()
    torch.testing.assert_close(network(v)[0, 0, :, 1], by_hand)
    torch.testing.assert_close(network(-v)[0, 0, :, 1], -0.5 * by_hand)


def test_dropout_is_for_training_and_takes_whole_channels():
    """In evaluation it is the network without; in training coarse channels vanish."""
    network = drawn(VNet(2, 1, 2, dropout=0.5))
    plain = VNet(2, 1, 2).double().eval()
    plain.load_state_dict(network.state_dict())
    v, seen = numbers(1, 2, 8, 5), []
    assert torch.equal(network(v), plain(v))
    network.up.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    network.train()
    network(v)
    none = (seen[0] == 0).flatten(2)
    assert torch.equal(none.any(2), none.all(2))
    assert 4 <= none.all(2).sum() <= 28


@pytest.mark.parametrize("shape", [(5, 4), (3, 1, 4)])
def test_three_layers_are_three_convolutions(shape):
    """With slopes between them and none after the last."""
    network = drawn(ThreeLayer(3, 2, len(shape), width=5))
    s, v = network.state_dict(), numbers(2, 3, *shape)
    want = rectified(convolved(v, s, "layers.0.0"), s, "layers.0.1")
    want = rectified(convolved(want, s, "layers.1.0"), s, "layers.1.1")
    torch.testing.assert_close(network(v), convolved(want, s, "layers.2"))


def test_the_gated_unit_is_that_of_cho():
    """h + z (h~ - h), h~ = tanh(W [x, r h]); catches z and r exchanged."""
    network = drawn(ConvGRU(3, 2, 2, width=4))
    s, v, h = network.state_dict(), numbers(2, 3, 5, 4), numbers(2, 4, 5, 4, seed=9)
    x = rectified(convolved(v, s, "encode.0"), s, "encode.1")
    gates = torch.sigmoid(convolved(torch.cat([x, h], 1), s, "gates"))
    z, r = gates[:, :4], gates[:, 4:]
    proposed = torch.tanh(convolved(torch.cat([x, r * h], 1), s, "candidate"))
    new = h + z * (proposed - h)
    out = rectified(convolved(new, s, "read.0.0"), s, "read.0.1")
    got, state = network(v, h)
    torch.testing.assert_close(state, new)
    torch.testing.assert_close(got, convolved(out, s, "read.1"))


def networks(d):
    yield ThreeLayer(2, 3, d, width=4), False
    yield FourierNet(2, 3, d, width=4, modes=2), False
    yield FourierNet(2, 3, d, width=4, modes=8), False
    yield ConvGRU(2, 3, d, width=4), True
    yield VNet(2, 3, d), False


@pytest.mark.parametrize("shape", GRIDS, ids=str)
def test_any_grid_will_do(shape):
    """Odd, even and length-1 axes, in 2-D and 3-D: one output per voxel, finite."""
    v, state = numbers(2, 2, *shape), torch.zeros(2, 4, *shape, dtype=torch.float64)
    for network, recurrent in networks(len(shape)):
        given = (v, state) if recurrent else (v,)
        out = network.double()(*given)
        out = out[0] if recurrent else out
        assert out.shape == (2, 3, *shape)
        assert bool(out.isfinite().all())


@pytest.mark.parametrize("shape", GRIDS, ids=str)
def test_periodic_networks_commute_with_every_shift(shape):
    """Theorem for convolutions and Fourier multipliers, Nyquist modes included.

    Not for the V-Net, whose padded cell has another period. Catches padding by zeros
    and a frequency that is treated unlike its negative.
    """
    d = len(shape)
    v, h = numbers(2, 2, *shape), numbers(2, 4, *shape, seed=3)
    shift, axes = (1, 2, 3)[:d], tuple(range(2, 2 + d))
    for network, recurrent in list(networks(d))[:-1]:
        network = drawn(network)
        given = (v, h) if recurrent else (v,)
        moved = network(*(g.roll(shift, axes) for g in given))
        still = network(*given)
        if not recurrent:
            moved, still = (moved,), (still,)
        for a, b in zip(moved, still, strict=True):
            torch.testing.assert_close(a, b.roll(shift, axes), rtol=1e-10, atol=1e-11)


def test_a_fourier_layer_multiplies_each_frequency():
    """Against the sum over frequencies, by definition; both signs of the first axis."""
    layer, shape, modes = drawn(SpectralLayer(2, 3, 2)), (7, 8), 3
    v = numbers(1, 2, *shape)
    place = [torch.arange(n, dtype=torch.float64) / n for n in shape]
    want = torch.zeros_like(v)
    weight = torch.view_as_complex(layer.weight.detach())
    for k in range(-modes, modes):
        for m in range(modes):
            angle = 2 * torch.pi * (k * place[0][:, None] + m * place[1])
            wave = torch.exp(1j * angle)
            hat = (v * wave.conj()).mean((2, 3))
            corner, row = (0, k) if k >= 0 else (1, k + modes)
            out = torch.einsum("bi,io->bo", hat, weight[corner, :, :, row, m])
            twice = 1 if m == 0 else 2
            want += twice * (out[:, :, None, None] * wave).real
    torch.testing.assert_close(layer(v), want)


@pytest.mark.parametrize("modes", [2, 3, 8])
@pytest.mark.parametrize("shape", [(7, 5), (5, 1, 7)])
def test_a_fourier_layer_is_one_operator_on_all_grids(shape, modes):
    """Theorem: a band-limited field and its refinement give the same output.

    Sampled on three times as many voxels. Catches weights that belong to another
    frequency on another grid, and a scale that depends on the number of voxels.
    """
    layer, d = drawn(SpectralLayer(2, modes, len(shape))), len(shape)
    coarse, axes = numbers(1, 2, *shape), tuple(range(2, 2 + len(shape)))
    hat, fine = torch.fft.fftn(coarse, dim=axes), tuple(3 * n for n in shape)
    spread = hat.new_zeros(1, 2, *fine)
    places = [torch.fft.fftfreq(n, 1 / n).round().long() for n in shape]
    grids = torch.meshgrid(*places, indexing="ij")
    spread[(slice(None), slice(None), *grids)] = hat * 3**d
    refined = torch.fft.ifftn(spread, dim=axes).real
    every_third = (slice(None), slice(None), *[slice(None, None, 3)] * d)
    torch.testing.assert_close(refined[every_third], coarse)
    torch.testing.assert_close(layer(refined)[every_third], layer(coarse))


@pytest.mark.parametrize("kind", [VNet, ThreeLayer, ConvGRU, FourierNet])
def test_networks_are_for_two_or_three_axes(kind):
    with pytest.raises(ValueError, match="ndim = 1 must be 2 or 3"):
        kind(2, 1, 1)
