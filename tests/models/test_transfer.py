"""A model that starts from another: rows follow their names, all else is taken, what does not fit is named."""

from dataclasses import replace

import pytest
import torch

from tokenmask.layout import Flatten, Layout, Parallel
from tokenmask.models import MaskedModel, RangeHeadsConfig, TransformerConfig, transfer, unequal
from tokenmask.streams import StreamSpec
from tokenmask.swapping import transplant

TEXT = StreamSpec("text", (50,), ("index",), end_code=0, fingerprint="1" * 64)
SOUND = StreamSpec("audio", (20, 30), ("time",), rate_hz=50.0, fingerprint="2" * 64)
IMAGE = StreamSpec("image", (40,), ("row", "column"), (4, 4), fingerprint="3" * 64)
SHAPE, HEAD = TransformerConfig(width=64, depth=2, heads=2), RangeHeadsConfig(tied=False)


def model(seed: int, config: TransformerConfig = SHAPE, **streams: StreamSpec) -> MaskedModel:
    return MaskedModel.create(config, Layout(streams), head=HEAD, seed=seed)


def rows(one: MaskedModel, name: str, level: int = 0) -> list[torch.Tensor]:
    found = one.layout.range(name, level)
    span = slice(found.offset, found.mask_id + 1)
    tables = (one.backbone.embedding.table, one.heads.bias, one.heads.table)
    return [table[span] for table in tables] + [one.backbone.embedding.stream[1 + one.layout.index(name)]]


def test_rows_follow_their_names_and_new_streams_stay_fresh():
    source, target = model(1, text=TEXT, sound=SOUND), model(2, image=IMAGE, sound=SOUND, text=TEXT)
    torch.nn.init.normal_(source.heads.bias, generator=torch.Generator().manual_seed(0))
    fresh = model(2, image=IMAGE, sound=SOUND, text=TEXT)
    assert transfer(source, target) == ("sound", "text")
    for name, level in (("text", 0), ("sound", 0), ("sound", 1)):
        for mine, theirs in zip(rows(target, name, level), rows(source, name, level), strict=True):
            assert torch.equal(mine, theirs)
    assert all(torch.equal(a, b) for a, b in zip(rows(target, "image"), rows(fresh, "image"), strict=True))
    controls = 1 + len(target.layout.controls)
    assert torch.equal(target.backbone.embedding.table[:controls], source.backbone.embedding.table[:controls])
    assert torch.equal(target.backbone.embedding.stream[0], source.backbone.embedding.stream[0])
    mine, theirs = target.backbone.blocks.state_dict(), source.backbone.blocks.state_dict()
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs)


def test_the_same_layout_gives_the_same_model():
    source, target = model(1, text=TEXT, sound=SOUND), model(2, text=TEXT, sound=SOUND)
    transfer(source, target)
    theirs = source.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in target.state_dict().items())


def test_what_does_not_fit_is_named():
    source = model(1, text=TEXT, sound=SOUND)
    with pytest.raises(ValueError, match=r"its depth is 1 and that of the other 2; set model\.depth=2"):
        transfer(source, model(2, replace(SHAPE, depth=1), text=TEXT))
    with pytest.raises(ValueError, match="one has image and the other text, sound"):
        transfer(source, model(2, image=IMAGE))
    other = replace(TEXT, fingerprint="9" * 64)
    with pytest.raises(ValueError, match="those of tokenizer 111111111111, got 999999999999;"):
        transfer(source, model(2, text=other))
    flat = MaskedModel.create(SHAPE, Layout({"sound": SOUND}, {"sound": Flatten()}), head=HEAD)
    with pytest.raises(ValueError, match="stream 'sound' must be arranged as in the other model"):
        transfer(source, flat)


def test_rows_of_ranges_follow_their_names_too():
    """What a model that is asked from elsewhere knows of each range, and the layers that join the levels."""
    shape = replace(SHAPE, shifted=True)
    joined = {"sound": Parallel("concat")}
    source = MaskedModel.create(shape, Layout({"text": TEXT, "sound": SOUND}, joined), seed=1)
    target = MaskedModel.create(shape, Layout({"image": IMAGE, "sound": SOUND, "text": TEXT}, joined), seed=2)
    with torch.no_grad():
        source.backbone.asked.table.copy_(torch.arange(3.0)[:, None] + 1)
        target.backbone.asked.table.fill_(9.0)
    assert unequal(source, target)
    assert transfer(source, target) == ("sound", "text") and unequal(source, target) == []
    assert target.backbone.asked.table[:, 0].tolist() == [9.0, 2.0, 3.0, 1.0]  # image, sound, sound, text
    fused = [one.backbone.embedding.fusions["sound"].weight for one in (source, target)]
    assert torch.equal(*fused)
    swapped = transplant(source, source.layout.replace("sound", replace(SOUND, fingerprint="4" * 64)), "sound", ())
    assert swapped.backbone.asked.table[:, 0].tolist() == [1.0, 2.0, 3.0]
    wider = transplant(source, source.layout.add("image", IMAGE), None)
    assert wider.backbone.asked.table[:, 0].tolist() == [1.0, 2.0, 3.0, 0.0]


def test_tensors_that_follow_the_layout_are_named():
    one = MaskedModel.create(
        replace(SHAPE, shifted=True), Layout({"sound": SOUND}, {"sound": Parallel("concat")}), head=HEAD
    )
    rows = one.layout_rows()
    assert rows.ids == ("backbone.embedding.table", "heads.bias", "heads.table")
    assert rows.streams == ("backbone.embedding.stream",) and rows.ranges == ("backbone.asked.table",)
    assert rows.own == {"backbone.embedding.fusions.sound.weight": "sound"}
    assert len(one.inner_matrices()) == 2 * 4 and all("blocks" in name for name in one.inner_matrices())
