"""Plates: features in their units, models that know them, and folds that hold one plate each."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import sem, t
from sklearn.metrics import f1_score

from models.bundle import load_model
from pipeline.core.errors import PipelineError, read_problems
from pipeline.core.stage import SilentProgress, execute
from pipeline.core.workspace import Workspace
from pipeline.data.cell_tables import read_cells
from pipeline.data.dataset import read_dataset
from pipeline.data.plates import whole_plates
from pipeline.data.tables import unsaid
from pipeline.stages.evaluate import Evaluate, Scores
from pipeline.stages.importances import model_table
from pipeline.stages.normalise import Normalise, NormaliseSummary
from pipeline.stages.options import EvaluateOptions, TrainOptions
from pipeline.stages.plate_options import NormaliseOptions
from pipeline.stages.train import Train
from tests.pipeline.plates import make_plates, write_cells
from tests.pipeline.workfolder import write_embedding

PLATE, CONTROLS = "Metadata_Plate", "Metadata_Treatment=DMSO"


@pytest.fixture
def work(tmp_path: Path) -> Workspace:
    return make_plates(tmp_path)


def normalise(work: Workspace, **options: object) -> NormaliseSummary:
    return execute(Normalise(), NormaliseOptions(work=work.root, **{"by": PLATE} | options), SilentProgress())


def asked(work: Workspace, **options: object) -> TrainOptions:
    plain = {"trials": 0, "jobs": 1, "boosters": ("linear",), "folds": 3}
    return TrainOptions(work=work.root, labels=work.root.parent / "labels.csv", **plain | options)


def train(work: Workspace, **options: object) -> None:
    execute(Train(), asked(work, **options), SilentProgress())


def evaluate(work: Workspace, name: str = "") -> Scores:
    return execute(Evaluate(), EvaluateOptions(work=work.root, name=name, draws=100), SilentProgress())


def change_samples(work: Workspace, **columns: object) -> None:
    pd.read_parquet(work.samples).assign(**columns).to_parquet(work.samples, index=False)


def test_normalised_features_no_longer_tell_plates_apart(work: Workspace) -> None:
    summary = normalise(work)
    table = pd.read_parquet(work.features_normalised)
    assert list(table.columns[:3]) == ["Id", PLATE, "Metadata_Treatment"]
    assert (summary.pictures, summary.reference, summary.left_out) == (72, 72, 0)
    before = pd.read_parquet(work.features).drop(columns="Id")
    spread = before.groupby(table[PLATE]).median().std()
    assert (spread > 1).mean() > 0.9
    after = table.drop(columns=["Id", PLATE, "Metadata_Treatment"]).groupby(table[PLATE]).median()
    assert after.abs().to_numpy().max() < 1e-5
    assert not normalise(work).fresh


def test_controls_are_the_zero_and_sphering_takes_their_correlations_out(work: Workspace) -> None:
    normalise(work, controls=CONTROLS)
    table = pd.read_parquet(work.features_normalised)
    controls = table["Metadata_Treatment"].eq("DMSO")
    values = table.select_dtypes("float32")
    medians = values[controls].groupby(table[PLATE]).median()
    assert medians.abs().to_numpy().max() < 1e-5
    sphered = normalise(work, controls=CONTROLS, method="sphering")
    assert sphered.reference == controls.sum()
    assert 0 < sphered.shrinkage < 1
    table = pd.read_parquet(work.features_normalised).select_dtypes("float32")
    correlation = [np.abs(np.corrcoef(one[controls].T)).mean() for one in (values, table)]
    assert correlation[1] < correlation[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"by": "Plate"}, "unknown column 'Plate'; known: group, Metadata_Plate, Metadata_Treatment; add it"),
        ({"controls": "Metadata_Treatment=DMS0"}, "unknown Metadata_Treatment 'DMS0'; known: DMSO, Drug"),
        ({"controls": "DMSO"}, "--controls DMSO: give COLUMN=VALUE"),
        ({"minimum": 25}, "Metadata_Plate 'A' has 24 pictures to normalise by; 25 are needed; give more"),
    ],
)
def test_what_cannot_be_normalised_is_refused(work: Workspace, options: dict, message: str) -> None:
    with pytest.raises(PipelineError, match=message):
        normalise(work, **options)


def test_plates_with_too_few_controls_and_pictures_without_a_plate_are_listed(work: Workspace) -> None:
    samples = pd.read_parquet(work.samples)
    treated = samples["Metadata_Treatment"].where(samples[PLATE].ne("B"), "Drug")
    change_samples(
        work, Metadata_Treatment=treated, Metadata_Plate=samples[PLATE].where(samples.index > 0, "")
    )
    assert normalise(work, controls=CONTROLS).left_out == 25
    listed = {one.sample: one.reason for _, one in read_problems(work.problems)}
    assert listed["p000"] == "no Metadata_Plate"
    assert listed["p002"] == (
        "Metadata_Plate 'B' has 0 controls (Metadata_Treatment=DMSO) to normalise by; 6 are needed"
    )
    data = read_dataset(asked(work, normalise_by=PLATE, controls=CONTROLS), unsaid)
    assert len(data.targets) == 72 - 25
    assert {one.sample for one in data.problems} == set(listed)


def test_a_model_of_normalised_features_is_better_on_plates_it_has_not_seen(work: Workspace) -> None:
    train(work, name="plain", folds_by=PLATE)
    train(work, name="z", folds_by=PLATE, normalise_by=PLATE)
    scores, z = evaluate(work, "plain"), evaluate(work, "z")
    macro = "macro-F1 over 3 trained locations"
    assert z.totals[macro].value > scores.totals[macro].value + 0.1
    assert "Leave-one-plate-out: 3 plates (Metadata_Plate), whole in 3 folds" in scores.protocol
    assert "bootstrap over plates" in scores.protocol
    table = pd.read_parquet(Workspace(work.root, "plain").out_of_fold).query("model == 'stack'")
    for plate, row in scores.plates.items():
        here = table[table["plate"] == plate]
        assert row["pictures"] == here["Id"].nunique() == 24
        assert row["micro_f1"] == pytest.approx(f1_score(here["truth"], here["chosen"]))
    each = [row["macro_f1"] for row in scores.plates.values()]
    mean = scores.totals["macro-F1 of a plate (undefined skipped), mean of 3, t interval"]
    low, high = t.interval(0.95, 2, np.mean(each), sem(each))
    assert (mean.value, mean.low, mean.high) == pytest.approx((np.mean(each), max(0, low), min(1, high)))
    card = json.loads((Workspace(work.root, "z").model / "card.json").read_text())
    assert card["normalisation"] == {"by": PLATE, "method": "robust-z", "controls": None, "minimum": 6}


def test_each_plate_is_a_fold(work: Workspace) -> None:
    data = read_dataset(asked(work, folds_by=PLATE), unsaid)
    plates = pd.read_parquet(work.samples).set_index("Id").loc[data.targets.index, PLATE]
    assert pd.crosstab(plates, data.fold).to_numpy().astype(bool).tolist() == np.eye(3, dtype=bool).tolist()
    assert data.left_out["Microtubule ends"].endswith("2 plates; 3 folds need 3 plates")


def test_many_plates_are_dealt_whole_to_a_few_folds(work: Workspace) -> None:
    plates = [f"plate {number // 4}" for number in range(72)]
    change_samples(work, Metadata_Plate=plates)
    data = read_dataset(asked(work, folds_by=PLATE), unsaid)
    assert data.folds == 3
    assert pd.Series(data.fold).groupby(plates).nunique().max() == 1


def test_plates_that_share_a_group_are_one_fold_or_refused(work: Workspace) -> None:
    plates = pd.Series(np.repeat(list("ABCD"), 18), index=[f"p{number:03}" for number in range(72)])
    groups = pd.Series([f"g{number // 2}" for number in range(72)], index=plates.index)
    change_samples(work, Metadata_Plate=plates.to_numpy())
    groups.iloc[[0, 18]] = "shared"
    notes: list[str] = []
    whole = whole_plates(work, PLATE, groups, notes.append)
    assert sorted(set(whole)) == ["A + B", "C", "D"]
    assert set(whole[plates.isin(["A", "B"]).to_numpy()]) == {"A + B"}
    assert notes == ["group 'shared' is on plates A and B, so that 4 plates make 3 folds"]
    groups.iloc[[19, 40]] = "another"
    with pytest.raises(PipelineError, match=r"4 plates make 2 folds, and 3 are needed; to score"):
        whole_plates(work, PLATE, groups, unsaid)
    change_samples(work, Metadata_Plate=["A", "", *["B"] * 70])
    with pytest.raises(PipelineError, match="1 labelled picture without it, such as 'p001'; fill it in"):
        whole_plates(work, PLATE, groups, unsaid)


def test_embeddings_are_normalised_too_and_other_networks_predictions_are_not(work: Workspace) -> None:
    tables = [work.root.parent / name for name in ("one.csv", "two.csv", "votes.csv")]
    for path in tables[:2]:
        write_embedding(path, 72)
    ids = pd.read_parquet(work.features)["Id"]
    pd.DataFrame({"Id": ids, "Target": "0"}).to_csv(tables[2], index=False)
    given = {"embeddings": tuple(tables[:2]), "outputs": (tables[2],)}
    data = read_dataset(asked(work, normalise_by=PLATE, **given), unsaid)
    plates = pd.read_parquet(work.samples).set_index("Id").loc[data.targets.index, PLATE]
    for name in ("features", "one", "two"):
        assert data.blocks[name].groupby(plates).median().abs().to_numpy().max() < 1e-5
    plain = read_dataset(asked(work, **given), unsaid)
    pd.testing.assert_frame_equal(data.blocks["outputs"], plain.blocks["outputs"])
    work.features.unlink()
    with pytest.raises(PipelineError, match="--normalise-by Metadata_Plate: needs pictures that extract"):
        read_dataset(asked(work, normalise_by=PLATE, **given), unsaid)


def test_sphering_in_training_needs_labelled_controls_in_every_fit(work: Workspace) -> None:
    few = pd.Series(np.where(np.arange(72) < 8, "DMSO", "Drug"))
    change_samples(work, Metadata_Treatment=few, Metadata_Plate="one")
    with pytest.raises(PipelineError, match="sphering needs 10 labelled controls outside of any two folds"):
        read_dataset(asked(work, normalise_by=PLATE, controls=CONTROLS, normalise_method="sphering"), unsaid)


def test_single_cells_are_learned_from_in_units_of_their_plate(work: Workspace) -> None:
    names, how = write_cells(work), asked(work, normalise_by=PLATE).normalisation
    found = read_cells(work, names, how)
    plates = pd.read_parquet(work.samples).set_index("Id")[PLATE]
    for _, own in found.groupby(plates.reindex(found.index).to_numpy()):
        np.testing.assert_allclose(own[names].median(), 0, atol=1e-6)
    assert found["label"].tolist() == [1, 2, 3, 4] * 72
    train(work, cells=True, normalise_by=PLATE)
    model = load_model(work.model)
    before = model.predict(model_table(work, model, work.model, (), ())).probability
    log_odds = pd.read_parquet(work.cells_out_of_fold)
    assert len(log_odds) == 288
    write_cells(work, factor=3, offset=700)
    again = model.predict(model_table(work, model, work.model, (), ())).probability
    np.testing.assert_allclose(again, before, atol=1e-4)
    pd.testing.assert_frame_equal(read_cells(work, names, how), found, atol=1e-4)


def test_cells_of_plates_with_too_few_controls_are_left_out(work: Workspace) -> None:
    names, how = write_cells(work), asked(work, normalise_by=PLATE, controls=CONTROLS).normalisation
    samples = pd.read_parquet(work.samples)
    samples.loc[samples[PLATE].eq("A"), "Metadata_Treatment"] = "Drug"
    samples.loc[samples[PLATE].eq("B") & (samples.index < 20), PLATE] = ""
    samples.to_parquet(work.samples, index=False)
    kept = samples["Id"][samples[PLATE].isin(["B", "C"])]
    assert read_cells(work, names, how).index.unique().tolist() == kept.tolist()
