"""inspect: counts of all codes of some files, the tokenizer's figures, a report; what is broken is listed."""

import json

import pytest

from tests.worlds import tokenizers
from tokenmask import data
from tokenmask.modalities.codebook_report import CodebookReport
from tokenmask.modalities.image import Image
from tokenmask.modalities.text import Text
from tokenmask.tokenizer import load_tokenizer


def test_codes_of_a_folder_are_counted_and_kept(pictures, run, tmp_path, call, capsys):
    folder = run.folder / "tokenizers/image"
    (tmp_path / "broken.png").write_bytes(b"no picture")
    assert call("inspect", folder, "--on", pictures, tmp_path / "broken.png", "--out", tmp_path / "out") == 1
    output = capsys.readouterr()
    assert "broken.png" in next(line for line in output.err.splitlines() if line.startswith("failed: "))
    tokenizer = load_tokenizer(folder)
    images = [Image.load(path) for path in sorted(pictures.glob("*.png"))]
    codes = [stream.codes for stream in tokenizer.encode_many(images)]
    wanted = CodebookReport.of(codes, tokenizer.spec.codebook_sizes)
    kept = json.loads((tmp_path / "out/report.json").read_text())
    assert [level["counts"] for level in kept["levels"]] == [count.tolist() for count in wanted.counts]
    assert sum(kept["levels"][0]["counts"]) == 40 * 64
    assert kept["figures"] == pytest.approx(tokenizer.evaluate(images))
    assert (kept["about"]["items"], kept["about"]["tokenizer"]) == (40, tokenizer.spec.fingerprint)
    assert (tmp_path / "out/counts.png").stat().st_size > 1000 < (tmp_path / "out/perplexity.png").stat().st_size
    row = next(line for line in output.out.splitlines() if line.split()[:1] == ["0"])
    assert row.split() == wanted.rows()[0]
    assert "psnr_db" in output.out and "(40 items)" in output.out


def test_texts_are_inspected_by_line_or_by_file(tmp_path, call, capsys):
    tokenizers()["text"].save(tmp_path / "text")
    verses = data.gospel_verses()[:30]
    (tmp_path / "a.txt").write_text("\n".join(verses))
    for per, items in (("line", [Text(verse) for verse in verses]), ("file", [Text("\n".join(verses))])):
        assert call("inspect", tmp_path / "text", "--on", tmp_path / "a.txt", "--per", per) == 0
        output = capsys.readouterr().out
        codes = [stream.codes for stream in tokenizers()["text"].encode_many(items)]
        assert CodebookReport.of(codes, tokenizers()["text"].spec.codebook_sizes).rows()[0] in [
            line.split() for line in output.splitlines()
        ]
        assert f"on {len(items)} items" in output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "text"]


def test_wrong_input_is_one_sentence(spoilt, run, call, refusal, capsys):
    folder = run.folder / "tokenizers/image"
    assert "does not exist" in refusal("inspect", folder, "--on", spoilt / "none")
    assert "no image was found" in refusal("inspect", folder, "--on", spoilt / "empty")
    assert "tokenizer.json" in refusal("inspect", spoilt / "empty", "--on", spoilt)
    assert "needs a code of each level" in refusal("inspect", folder, "--on", spoilt / "cut.png", "--out", spoilt / "o")
    assert not (spoilt / "o").exists()
    assert "--on" in refusal("inspect", folder)
