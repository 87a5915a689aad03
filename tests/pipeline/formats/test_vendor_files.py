"""Files of microscopes' own kinds are read by optional packages, which are named where they are missing."""

import sys

import numpy as np
import pytest

from pipeline.core.files import UnreadableError
from pipeline.formats.sources import Reading, Source
from pipeline.formats.vendor_files import VENDORS
from tests.pipeline.planes import read_plane


@pytest.mark.parametrize("beginning", VENDORS)
def test_a_reader_that_is_not_installed_is_named(tmp_path, monkeypatch, beginning):
    package = VENDORS[beginning].package
    monkeypatch.setitem(sys.modules, package.replace("-", "_"), None)
    (tmp_path / "a").write_bytes(beginning + bytes(99))
    with pytest.raises(UnreadableError, match=rf"requirements_formats.txt \({package}\)"):
        read_plane(Source((tmp_path / "a",)), "green")


def test_a_czi_file_has_channels_depths_and_a_pixel_size(tmp_path):
    pytest.importorskip("bioio_czi", reason="bioio-czi of requirements_formats.txt is not installed")
    from pylibCZIrw import czi

    values = np.random.default_rng(0).integers(0, 4000, (2, 3, 24, 32)).astype(np.uint16)
    with czi.create_czi(str(tmp_path / "a.czi")) as document:
        for channel, z in np.ndindex(2, 3):
            document.write(data=values[channel, z][..., None], plane={"C": channel, "Z": z, "T": 0})
        document.write_metadata("a", channel_names={0: "DAPI", 1: "GFP"}, scale_x=1e-7, scale_y=1e-7)
    plane, sides = read_plane(Source((tmp_path / "a.czi",), "gfp"), "green", Reading("max", whole=4095))
    np.testing.assert_array_equal(plane, (values[1].max(0) / 4095).astype(np.float32))
    assert sides == pytest.approx((0.1, 0.1))
