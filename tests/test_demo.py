"""The demo end to end, with hardly any training: every figure is printed, every file is left, a second call resumes."""

import pytest

import tokenmask as tm
from tokenmask import demo

SHORT = ["streams.motion.fit.steps=5", "training.steps=4", "training.batch_size=4"]


@pytest.mark.slow
def test_demo_runs_and_resumes(tmp_path, capsys):
    folder = tmp_path / "run"
    demo.main(folder, SHORT)
    first = capsys.readouterr().out
    for words in (
        "psnr_db",
        "mel_l1",
        "mpjpe_mm",
        "gamma_correlation",
        "margin",
        "goes on",
        "is named",
        "is heard as",
        "Fréchet",
        "class probe",
        "digits heard by a recogniser",
        "bit for bit",
        "products in",
        "Motions nearest, by poses, to a training clip of their name: model that ships",
        "Pictures of training captions nearest, in pixels, to their own emoji: ",
        "Held-out motion, given text, nats a hidden code over all levels: right after the swap",
        "All else of the model is that of the model that ships, bit for bit.",
    ):
        assert words in first
    assert (folder / "samples/captions.png").is_file() and (folder / "samples/blue-heart.png").is_file()
    assert str(folder / "samples") in first.splitlines()[-2]
    page = (folder / "report.html").read_text(encoding="utf-8")
    for name in (
        "training",
        "held-out-scores",
        "image",
        "audio",
        "motion",
        "eeg",
        "evaluation",
        "edits",
        "tokenizer-swap",
    ):
        assert f'<section id="{name}"' in page
    assert "its rows learned for 4 steps" in page and "after 4 steps with the new codes" in page
    shipped, trained = tm.load(), tm.load(folder)
    for name in trained.tokenizers:
        same = trained.tokenizers[name].spec == shipped.tokenizers[name].spec
        assert same == (name != "motion")
    demo.main(folder, SHORT)
    again = capsys.readouterr().out
    assert again.splitlines()[:-1] == first.splitlines()[:-1]
    assert trained.layout.names == ("text", "label", "image", "audio", "motion", "eeg")
