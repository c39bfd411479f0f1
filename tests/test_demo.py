"""The demo end to end, with hardly any training: every figure is printed, every file is left, a second call resumes."""

import pytest

import tokenmask as tm
from tokenmask import demo

SHORT = ["streams.image.fit.steps=5", "streams.image.fit.batch_size=4", "model.width=64", "model.depth=1"]
SHORT += ["model.heads=1", "training.steps=4", "training.batch_size=4"]


@pytest.mark.slow
def test_demo_runs_and_resumes(tmp_path, capsys):
    folder = tmp_path / "run"
    demo.main(folder, SHORT)
    first = capsys.readouterr().out
    for words in ("psnr_db", "pca_psnr_db", "round_trip_share 1", "margin", "goes on", "is named", "first among 20"):
        assert words in first
    assert (folder / "samples/captions.png").is_file() and (folder / "samples/blue-heart.png").is_file()
    assert str(folder / "samples") in first.splitlines()[-1]
    demo.main(folder, SHORT)
    again = capsys.readouterr().out
    assert again.splitlines()[:-1] == first.splitlines()[:-1]
    assert tm.load(folder).layout.names == ("text", "image")
