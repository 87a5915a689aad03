"""What a model remembers of channels and layouts, and says of pictures that lack some."""

from pathlib import Path

import pandas as pd
import pytest

import features
from pipeline.core.errors import PipelineError
from pipeline.data.layouts import CHANNELS, Layout
from pipeline.data.samples import Sample
from pipeline.formats.sources import Source
from pipeline.networks.leak_guard import TableCard
from pipeline.networks.preprocessing import Embedder, Preprocessing
from pipeline.stages.channel_views import channel_views, told_lacking, told_once
from pipeline.stages.extraction import Extraction

WHOLE = Sample("a", tuple(Source((Path(f"a_{name}.png"),)) for name in CHANNELS))


def embedder(**options: object) -> Embedder:
    return Embedder(
        name="net",
        network="compact",
        weights=Path("w"),
        sha256="",
        preprocessing=Preprocessing(side=32, **options),
    )


def extraction(**options: object) -> Extraction:
    return Extraction(segmenter="watershed", options={}, settings={}, families={}, **options)


def test_a_view_lacks_the_columns_that_need_its_channels() -> None:
    columns = features.picture_columns(["relations", "intensity", "morphology"])
    blocks = {"features": pd.DataFrame(columns=columns), "net": pd.DataFrame(columns=["e0", "e1"])}
    cards = {"net": TableCard(name="net", embedder=embedder(dropped=("er",)))}
    views = {view.name: view.missing for view in channel_views(blocks, CHANNELS, cards)}
    assert list(views) == ["without er", "without microtubules", "without microtubules and er"]
    lost = {name for name, gone in zip(columns, views["without er"]["features"], strict=True) if gone}
    assert {name for name in columns if "er" in features.parse(name).channels} < lost
    assert all("relations__" in name for name in lost if "er" not in features.parse(name).channels)
    assert "net" not in views["without er"]
    assert views["without microtubules"]["net"].all()
    assert not channel_views(blocks, ("protein", "nucleus"), cards)


def test_it_is_told_how_a_model_does_without_what_a_picture_lacks() -> None:
    card = {"extraction": {"channels": CHANNELS}, "channels": {"all": 0.72, "without er": 0.69}}
    few = WHOLE.with_channels(("microtubules", "protein", "nucleus"))
    told = told_lacking(card, [WHOLE, few])
    assert told == {"a": "er not recorded: in cross-validation macro-F1 is 0.69 without, 0.72 with"}
    assert told_once(told) == [f"{told['a']} (1 picture)"]
    assert told_lacking({"extraction": {"channels": few.channels}}, [few]) == {}
    least = told_lacking(card, [WHOLE.with_channels(("protein", "nucleus"))])["a"]
    assert least == "microtubules and er not recorded: how the model does without was not measured"


def test_pictures_are_read_as_those_of_training_but_for_what_is_said() -> None:
    trained = extraction(
        channels=("protein", "nucleus"),
        layout=Layout(channels={"nucleus": "DAPI", "protein": "GFP"}, projection="max"),
    )
    again = trained.fitting_layout(Layout())
    assert (again.channels, again.projection) == ({"nucleus": "DAPI", "protein": "GFP"}, "max")
    assert set(again.absent) == {"microtubules", "er"}
    other = trained.fitting_layout(Layout(channels={"nucleus": 0, "protein": 1, "er": 2}))
    assert (other.channels["nucleus"], other.projection) == (0, "max")
    assert other.used == ("protein", "nucleus")
    with pytest.raises(PipelineError, match="projection 'max', the layout says 'mean'"):
        trained.fitting_layout(Layout(projection="mean"))
