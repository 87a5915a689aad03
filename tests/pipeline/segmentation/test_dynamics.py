import numpy as np
import pytest
from scipy import ndimage as ndi

from pipeline.segmentation.dynamics import flows_of, follow_flows


def blobs(seed):
    """Irregular touching objects, some at the border."""
    rng = np.random.default_rng(seed)
    field = ndi.gaussian_filter(rng.normal(size=(90, 110)), 5)
    seeds = ndi.label(ndi.maximum_filter(field, 11) == field)[0]
    from skimage.segmentation import watershed

    return watershed(-field, seeds, mask=field > 0).astype(np.int32)


@pytest.mark.parametrize("seed", [0, 1])
def test_flows_are_those_of_cellpose(seed):
    from cellpose.dynamics import masks_to_flows_cpu

    labels = blobs(seed)
    theirs, _ = masks_to_flows_cpu(labels)
    assert np.allclose(flows_of(labels), theirs, atol=1e-5)


@pytest.mark.parametrize("seed", [0, 1])
def test_followed_flows_give_the_masks_of_cellpose(seed):
    import torch
    from cellpose.dynamics import compute_masks

    rng = np.random.default_rng(seed)
    labels = blobs(seed)
    flows = 5 * flows_of(labels) + rng.normal(0, 1.5, (2, *labels.shape)).astype(np.float32)
    with torch.sparse.check_sparse_tensor_invariants(enable=False):
        theirs = compute_masks(flows, (labels > 0) - 0.5, max_size_fraction=1.0)
    ours = follow_flows(flows / 5, labels > 0)
    assert np.unique(ours).size == np.unique(theirs).size > 5
    # sums in another order carry a few pixels at the borders elsewhere
    twin = ndi.median(theirs, ours, np.arange(ours.max() + 1))
    assert (np.where(ours > 0, twin[ours], 0) == theirs).mean() > 0.99


def test_objects_whose_flows_contradict_them_are_dropped():
    labels = np.zeros((40, 80), np.int32)
    labels[10:30, 10:30], labels[10:30, 50:70] = 1, 2
    flows = flows_of(labels)
    assert np.unique(follow_flows(flows, labels > 0)).size == 3
    flows[:, :, 40:] = flows[:, :, 40:][::-1]
    assert not follow_flows(flows, labels > 0)[:, 40:].any()


def test_a_single_pixel_and_nothing_have_flows():
    labels = np.zeros((5, 6), np.int32)
    assert not flows_of(labels).any()
    labels[0, 0] = 7
    assert np.isfinite(flows_of(labels)).all()
