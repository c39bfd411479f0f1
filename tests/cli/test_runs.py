"""generate, evaluate, info and recipes."""

import json
import math
import subprocess
import sys

import torch


def test_generated_text_is_printed(run, tmp_path, call, capsys):
    words = ("generate", "text", "--run", run.folder, "--length", 5, "--num-samples", 2, "--given")
    assert call(*words, "text=the sun") == 0
    printed = capsys.readouterr().out
    assert all(line.startswith("the sun") for line in printed.splitlines()[:2])
    (tmp_path / "start.txt").write_text("the sun")
    assert call(*words, f"text=@{tmp_path / 'start.txt'}") == 0
    assert capsys.readouterr().out == printed
    assert call(*words, "text=@@sun") == 0
    assert capsys.readouterr().out.startswith("@sun")


def test_samples_are_numbered_and_never_overwritten(run, tmp_path, call, refusal, monkeypatch):
    out = tmp_path / "sun.png"
    words = ("generate", "image", "--run", run.folder, "--given", "text=sun", "--steps", 2)
    assert call(*words, "--num-samples", 2, "--out", out) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sun-0.png", "sun-1.png"]
    assert "add --force" in refusal(*words, "--num-samples", 2, "--out", out)
    assert call(*words, "--num-samples", 2, "--out", out, "--force") == 0
    monkeypatch.chdir(tmp_path)
    assert call(*words, "--seed", 7) == 0 and call(*words, "--seed", 7, "--out", "samples.d/") == 0
    assert (tmp_path / "image-7-0.png").read_bytes() == (tmp_path / "samples.d/image-7-0.png").read_bytes()
    assert call(*words, "--seed", 7, "--out", "one.png") == 0
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "image-7-0.png").read_bytes()


def test_media_and_token_files_can_be_given(run, tmp_path, call, capsys):
    image = run.generate("image", steps=1)[0]
    image.save(tmp_path / "image.png")
    run.tokenizers["image"].encode(image).save(tmp_path / "image.tokens")
    words = ("generate", "text", "--run", run.folder, "--length", 4, "--given")
    assert call(*words, f"image={tmp_path / 'image.png'}") == 0
    printed = capsys.readouterr().out
    assert call(*words, f"image={tmp_path / 'image.tokens'}") == 0
    assert capsys.readouterr().out == printed
    assert call(*words, f"image={tmp_path / 'image.png'}", "--out", tmp_path / "words.txt") == 0
    assert (tmp_path / "words.txt").read_text() + "\n" == printed


def test_options_reach_the_sampler(run, tmp_path, call):
    words = ("generate", "image", "--run", run.folder, "--steps", 1, "--temperature", 0, "--guidance", 1, "--out")
    assert call(*words, tmp_path / "a.png", "--seed", 1) == 0 and call(*words, tmp_path / "b.png", "--seed", 2) == 0
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    image = run.generate("image", steps=1, temperature=0.0, guidance=1.0)[0]
    assert torch.equal(run.tokenizers["image"].media.load(tmp_path / "a.png").pixels, image.pixels)


def test_evaluate_prints_tables_and_saves_them(run, call, capsys):
    report = {"held_out_items": 3, "training_items": 20, "figures": {"psnr_db": 12.5}}
    (run.folder / "tokenizers/image/evaluation.json").write_text(json.dumps(report))
    words = ("evaluate", run.folder, "--quick", "--data", run.folder / "samples")
    assert call(*words) == 0
    output = capsys.readouterr()
    found, head, *rows = output.out.splitlines()
    assert (
        found == "8 items found"
        and head.split()[:2] == ["stream", "level"]
        and "gain nats" in head
        and "\x1b" not in output.out + output.err
    )
    assert "psnr_db  12.5  (3 held-out items)" in output.out and "standard error" in output.out
    assert "image (image)" in output.out and "reconstruction: psnr_db" in output.out
    saved = json.loads((run.folder / "evaluation.json").read_text())
    expected = run.held_out_scores(draws=1)
    assert len(saved["scores"]) == len(expected) == 5 and saved["draws"] == 1 and saved["samples"] == 16
    for row, kept, score in zip(rows, saved["scores"], expected, strict=False):
        assert kept["cross_entropy"] == score.cross_entropy and kept["num_codes"] == score.num_codes
        assert f"{score.cross_entropy / math.log(2):.3f}" in row.split()
        assert row.split()[-2:] == [str(score.num_codes), str(score.num_records)]
        assert score.gain is None or f"{score.gain:.3f} +- {score.gain_error:.3f}" in row
    assert [table["stream"] for table in saved["streams"]] == ["text", "image"]
    assert call("report", run.folder) == 0
    assert '<section id="evaluation"' in (run.folder / "report.html").read_text(encoding="utf-8")
    (run.folder / "tokenizers/image/evaluation.json").unlink()


def test_report(run, tmp_path, call, refusal, capsys):
    out = tmp_path / "page.html"
    assert call("report", run.folder, "--data", run.folder / "samples", "--out", out) == 0
    printed = capsys.readouterr()
    assert str(out) in printed.out and "drawing" in printed.err
    text = out.read_text(encoding="utf-8")
    assert '<section id="image"' in text and "from its codes: image" in text
    assert "ends in .html" in refusal("report", run.folder, "--out", tmp_path)
    assert "is not a folder" in refusal("report", run.folder, "--out", tmp_path / "none/page.html")
    (run.folder / "evaluation.json").write_text('{"streams": [{}]}')
    assert "is damaged" in refusal("report", run.folder, "--out", out)
    (run.folder / "evaluation.json").unlink()


def test_info(run, call, capsys):
    assert call("info") == 0
    printed = capsys.readouterr().out
    assert torch.__version__ in printed and "image: tokenmask.modalities.image:ImageTokenizer" in printed
    assert "CPU kernels: " in printed and "CUDA kernels: " in printed and "arXiv:2202.04200" in printed
    assert call("info", run.folder) == 0
    printed = capsys.readouterr().out
    size = sum(parameter.numel() for parameter in run.models["main"].parameters())
    assert "8 row x 8 column" in printed and f"{size:,} parameters" in printed and run.recipe.paper in printed


def test_info_says_why_kernels_cannot_be_used(call, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenmask.ops", None)
    assert call("info") == 0
    assert "kernels: none can be used" in capsys.readouterr().out


def test_recipes(call, capsys, refusal):
    assert call("recipes") == 0
    printed = capsys.readouterr().out
    assert "arXiv:2202.04200" in printed and "llada" in printed
    assert call("recipes", "maskgit", "--tiny") == 0 and "width: 64" in capsys.readouterr().out
    assert "a recipe is one of" in refusal("recipes", "none")


def test_a_closed_pipe_is_no_error():
    command = f"{sys.executable} -m tokenmask.cli recipes | :; exit ${{PIPESTATUS[0]}}"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert result.returncode == 0 and result.stderr == ""


def test_a_terminal_gets_a_table(run, call, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "140")
    assert call("recipes") == 0
    assert "─" in capsys.readouterr().out
