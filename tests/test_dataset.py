"""The dataset that is read lazily, and the files that it refuses."""

import multiprocessing
import pickle

import h5py
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from lsml.data import LocalizationDataset, convert_paper
from lsml.data.layout import VERSION, Header, Table, allocate, describe
from lsml.io.new_file import new_file
from lsml.learned.sample import Sample

N, SHAPE, NAMES = 7, (5, 4, 3), ("11", "12")
LABELS = np.random.default_rng(1).integers(0, 2, (N, *SHAPE)).astype(np.uint8)
STRAIN = np.random.default_rng(2).random((N, len(NAMES), *SHAPE)).astype(np.float32)
SPLIT = np.array([0, 2, 1, 0, 2, 0, 2], dtype=np.uint8)
MEAN = 2e-3


def write(path, split=SPLIT, names=NAMES):
    """A dataset with numbers that no solver made."""
    with h5py.File(path, "w") as file:
        fill(file, split, names)
    return path


def fill(file, split=SPLIT, names=NAMES):
    header = Header(10.0, 0.3, MEAN, "11", names, {"source": "this test"})
    table = Table(np.arange(N), np.ones((N, 3), int), np.full(N, 0.5), split)
    allocate(file, N, SHAPE, len(NAMES))
    file["labels"][...], file["strain"][...] = LABELS, STRAIN
    file["error"][...] = np.arange(N) * 1e-8
    describe(file, header, table)


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "data.h5")


@pytest.mark.parametrize("split", ["train", "validation", "test", "all"])
def test_samples_of_a_split_in_the_order_of_the_file(path, split):
    dataset = LocalizationDataset(path, split)
    codes = {"train": [0], "validation": [1], "test": [2], "all": [0, 1, 2]}[split]
    rows = [i for i in range(N) if SPLIT[i] in codes]
    assert len(dataset) == len(rows)
    assert dataset.error.tolist() == [i * 1e-8 for i in rows]
    for row, sample in zip(rows, dataset, strict=True):
        assert isinstance(sample, Sample)
        assert sample.labels.dtype == torch.uint8
        assert np.array_equal(sample.labels, LABELS[row])
        # Strain in the file is in strain units; samples are relative to its mean.
        assert sample.strain.dtype == torch.float32
        np.testing.assert_allclose(sample.strain, STRAIN[row] / MEAN, rtol=1e-6)
    assert np.array_equal(dataset[-1].labels, LABELS[rows[-1]])
    with pytest.raises(IndexError):
        dataset[len(rows)]


def test_says_what_its_samples_are(path):
    dataset = LocalizationDataset(path)
    assert (dataset.path, dataset.split) == (path, "train")
    assert (dataset.contrast, dataset.nu, dataset.mean_strain) == (10.0, 0.3, MEAN)
    assert (dataset.load, dataset.components) == ("11", NAMES)
    assert (dataset.shape, dataset.phases) == (SHAPE, 2)
    assert dataset.counts == {"train": 3, "validation": 1, "test": 3}
    assert dataset.recipe == {"source": "this test"}


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers_read_what_one_process_reads(path, start):
    """A file opened before a fork must not be shared: its position would be, too."""
    if start not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system cannot {start}")
    dataset = LocalizationDataset(path, "all")
    alone = [dataset[i] for i in range(N)]  # also opens the file in this process
    workers = 2 if start == "fork" else 1  # a spawned one imports torch
    loader = DataLoader(
        dataset, batch_size=2, num_workers=workers, multiprocessing_context=start
    )
    batches = list(loader)
    assert all(isinstance(batch, Sample) for batch in batches)
    for at, name in enumerate(Sample._fields):
        together = torch.cat([batch[at] for batch in batches])
        assert torch.equal(together, torch.stack([getattr(s, name) for s in alone]))


def test_pickles_with_its_file_open(path):
    dataset = LocalizationDataset(path, "test")
    first = dataset[0]
    copy = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(copy[0].strain, first.strain)
    assert copy.recipe == dataset.recipe


def test_opens_nothing_until_it_is_read(path):
    """A thousand datasets must not exhaust the files that a process may open."""
    LocalizationDataset(path)
    with h5py.File(path, "r+") as file:  # refused while another holds it open
        assert file.attrs["load"] == "11"


def without(name):
    def spoil(file):
        del file[name]

    return spoil


def attribute(name, value):
    def spoil(file):
        file.attrs[name] = value

    return spoil


def shorter(file):
    del file["error"]
    file["error"] = np.zeros(N - 1)


def other_type(file):
    del file["labels"]
    file["labels"] = LABELS.astype(np.int64)


SPOILED = {
    "no-strain": (without("strain"), "has no dataset strain; expected labels, strain"),
    "shorter": (
        shorter,
        r"do not fit each other or its header: .*error float64 \(6,\)",
    ),
    "type": (other_type, "do not fit each other or its header: labels int64"),
    "format": (attribute("format", "else"), "has the format 'else'; expected 'lsml da"),
    "recipe": (attribute("recipe", "{"), "lacks attributes of the format 'lsml dat"),
    "contrast": (attribute("contrast", "x"), "lacks attributes of .* convert string"),
    "names": (attribute("components", ["11"]), "do not fit each other or its header"),
}


@pytest.mark.parametrize("case", SPOILED)
def test_a_file_of_another_make_is_refused_in_one_sentence(path, case):
    spoil, message = SPOILED[case]
    with h5py.File(path, "r+") as file:
        spoil(file)
    with pytest.raises(ValueError, match=message) as caught:
        LocalizationDataset(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_foreign_truncated_and_missing_files(path, tmp_path):
    h5py.File(tmp_path / "foreign.h5", "w").close()
    with pytest.raises(ValueError, match="has the format none; expected 'lsml dataset"):
        LocalizationDataset(tmp_path / "foreign.h5")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"is not a readable HDF5 .*truncated"):
        LocalizationDataset(path)
    path.write_text("labels")
    with pytest.raises(ValueError, match="is not a readable HDF5 file"):
        LocalizationDataset(path)
    with pytest.raises(FileNotFoundError, match=r"none\.h5 does not exist"):
        LocalizationDataset(tmp_path / "none.h5")
    with pytest.raises(ValueError, match="is a folder; expected a dataset"):
        LocalizationDataset(tmp_path)


def test_a_damaged_sample_is_named(path):
    with h5py.File(path, "r+") as file:
        file["strain"].id.write_direct_chunk((3, 0, 0, 0, 0), b"not gzip")
    dataset = LocalizationDataset(path)
    assert dataset[0].strain.isfinite().all()
    with pytest.raises(ValueError, match=r"sample 3 of .*data\.h5 cannot be read"):
        dataset[1]


def test_unknown_and_empty_splits(tmp_path):
    path = write(tmp_path / "data.h5", split=np.zeros(N, np.uint8))
    message = "split 'dev' is unknown; choose one of train, validation, test, all"
    with pytest.raises(ValueError, match=message):
        LocalizationDataset(path, "dev")
    message = "no sample in the split 'test'; it has 7 train, 0 validation, 0 test"
    with pytest.raises(ValueError, match=message):
        LocalizationDataset(path, "test")


# The paper's own arrays: (sample, z, y, x), loaded along x.
FIELD = 1e-3 * (1 + 0.1 * np.random.default_rng(4).standard_normal((3, 4, 3, 2)))
FIELD *= 1e-3 / FIELD.mean(axis=(1, 2, 3), keepdims=True)
STIFF = np.random.default_rng(5).integers(0, 2, FIELD.shape)
ONE_HOT = np.stack([1 - STIFF, STIFF], 1)


@pytest.fixture
def paper(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("micro.npy", ONE_HOT)
    np.save("strain.npy", FIELD)
    return tmp_path


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8, bool])
def test_the_paper_has_its_axes_reversed_and_the_stiff_phase_second(paper, dtype):
    np.save("micro.npy", ONE_HOT.astype(dtype))
    np.save("strain.npy", FIELD[:, None])
    convert_paper("micro.npy", "strain.npy", "out.h5", 50.0, split="test")
    dataset = LocalizationDataset("out.h5", "test")
    assert dataset.shape == (2, 3, 4)
    assert (dataset.contrast, dataset.load, dataset.components) == (50, "11", ("11",))
    assert dataset.error.isnan().all()  # nobody has certified it
    for i, sample in enumerate(dataset):
        x, y, z = 1, 2, 3
        assert sample.labels[x, y, z] == STIFF[i, z, y, x]
        assert np.array_equal(sample.labels, STIFF[i].T)
        np.testing.assert_allclose(sample.strain[0], FIELD[i].T / 1e-3, rtol=1e-6)
        assert sample.strain.mean() == pytest.approx(1, rel=1e-6)
    with h5py.File("out.h5") as file:
        np.testing.assert_allclose(file["volume_fraction"], STIFF.mean(axis=(1, 2, 3)))
        assert file["design_point"][()].tolist() == [-1] * 3


def soft_twice(micro, strain):
    micro[1, :, 0, 0, 0] = 1


def no_phase(micro, strain):
    micro[2, :, 0, 0, 0] = 0


def shades(micro, strain):
    micro[0, :, 0, 0, 0] = 0.5


def normalized(micro, strain):
    strain[2] /= 1e-3


def missing(micro, strain):
    strain[1, 0, 0, 0] = np.nan


SPOILED_ARRAYS = {
    "soft-twice": (soft_twice, "micro.npy is not one-hot in sample 1"),
    "no-phase": (no_phase, "micro.npy is not one-hot in sample 2"),
    "shades": (shades, "micro.npy is not one-hot in sample 0"),
    "normalized": (normalized, "has the mean 1 in sample 2; expected .* 0.001"),
    "nan": (missing, "has the mean nan in sample 1; expected the mean strain"),
}


@pytest.mark.parametrize("case", SPOILED_ARRAYS)
def test_arrays_that_are_not_the_papers_are_refused_and_nothing_is_written(paper, case):
    spoil, message = SPOILED_ARRAYS[case]
    micro, strain = ONE_HOT.astype(float), FIELD.copy()
    spoil(micro, strain)
    np.save("micro.npy", micro)
    np.save("strain.npy", strain)
    before = sorted(paper.iterdir())
    with pytest.raises(ValueError, match=message):
        convert_paper("micro.npy", "strain.npy", "out.h5")
    assert sorted(paper.iterdir()) == before


def test_bad_arguments_of_the_conversion(paper):
    np.save("three.npy", ONE_HOT[:, [0, 1, 1]])
    np.save("few.npy", FIELD[:2])
    np.save("objects.npy", np.array([None]), allow_pickle=True)
    (paper / "text.npy").write_text("text")
    (paper / "cut.npy").write_bytes((paper / "micro.npy").read_bytes()[:-8])
    (paper / "mine.h5").write_text("mine")
    for micro, strain, out, options, message in (
        ("none.npy", "strain.npy", "o.h5", {}, "none.npy does not exist"),
        ("text.npy", "strain.npy", "o.h5", {}, "text.npy is not a readable NumPy"),
        ("cut.npy", "strain.npy", "o.h5", {}, "cut.npy is not a readable NumPy"),
        ("objects.npy", "strain.npy", "o.h5", {}, "objects.npy is not a readable"),
        ("three.npy", "strain.npy", "o.h5", {}, "expected one-hot"),
        ("micro.npy", "few.npy", "o.h5", {}, "which does not fit"),
        ("micro.npy", "strain.npy", "mine.h5", {}, "mine.h5 exists already; over"),
        ("micro.npy", "strain.npy", "no/o.h5", {}, "the folder no does not exist"),
        ("micro.npy", "strain.npy", "o.h5", {"split": "dev"}, "split 'dev' is unkn"),
        ("micro.npy", "strain.npy", "o.h5", {"contrast": -1.0}, "contrast = -1.0 mu"),
    ):
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            convert_paper(micro, strain, out, **options)
    assert (paper / "mine.h5").read_text() == "mine"
    assert not (paper / "o.h5").exists()
    convert_paper("micro.npy", "strain.npy", "mine.h5", overwrite=True)
    assert len(LocalizationDataset("mine.h5")) == 3


@pytest.mark.parametrize("number", [np.nan, -np.inf])
def test_a_strain_that_is_not_finite_is_refused_by_its_sample(path, number):
    """A loss that is NaN would be blamed on the learning rate."""
    with h5py.File(path, "r+") as file:
        file["strain"][3, 1, 2, 0, 1] = number
    dataset = LocalizationDataset(path)
    assert dataset.rows.tolist() == [0, 3, 5]
    assert dataset[0].strain.isfinite().all()
    message = r"sample 3 of .*data\.h5 has a strain that is not finite"
    with pytest.raises(ValueError, match=message):
        dataset[1]


def contents(path):
    """All that is in a dataset, by its names."""
    dataset = LocalizationDataset(path, "all")
    told = {k: v for k, v in vars(dataset).items() if not k.startswith("_")}
    found = [np.asarray(part) for sample in dataset for part in sample]
    with h5py.File(path) as file:
        tables = [file[name][()] for name in ("design_point", "grain_size", "split")]
    return repr(told), [each.tobytes() for each in found + tables]


def test_no_bit_of_a_dataset_turns_unnoticed(tmp_path):
    """In fields, tables, texts, or in what HDF5 finds them by: refused, or harmless."""
    path, chance = tmp_path / "data.h5", np.random.default_rng(4)
    with new_file(path, VERSION) as (file, _):
        fill(file)
    sound, expected = path.read_bytes(), contents(path)
    refused = 0
    for place in chance.permutation(len(sound))[:300].tolist():
        damaged = bytearray(sound)
        damaged[place] ^= 1 << int(chance.integers(8))
        path.write_bytes(damaged)
        try:
            found = contents(path)
        except (ValueError, OSError):
            refused += 1
        else:
            assert found == expected, place
    assert refused > 100  # the rest is room that HDF5 does not use
