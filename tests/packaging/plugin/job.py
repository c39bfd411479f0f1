"""What a user of examples/plugin does, through commands; run where it is installed. Arguments: an empty folder."""

import json
import random
import re
import sys
from pathlib import Path

from tokenmask_example.dna import Dna, KmerConfig, KmerTokenizer

import tokenmask as tm
from tokenmask.cli import main
from tokenmask.corpus import HELD_OUT, TRAIN
from tokenmask.streams import TokenStream
from tokenmask.testing import check_tokenizer
from tokenmask.tokenizer import load_tokenizer

place = Path(sys.argv[1])


def call(*words: object) -> None:
    assert main([str(word) for word in words]) == 0, words


draw = random.Random(0)
strands = {f"read.{number}/x": "".join(draw.choices("ACGT", k=60 + number)) for number in range(40)}
lines = [f">{name} from nowhere\n{bases[:30].lower()}\n{bases[30:]}" for name, bases in strands.items()]
(place / "data").mkdir()
(place / "data/genes.fasta").write_text("\n".join(lines) + "\n")
(place / "data/alone.fa").write_text(">alone\n" + "ACGTTG" * 20 + "\n")
(place / "data/notes.md").write_text("no strand")

items = [Dna(bases) for bases in strands.values()][:4]
check_tokenizer(KmerTokenizer(KmerConfig(2)), items, refused=[Dna("A"), Dna("")], suffix=".fa")

# encode: every record of every file, found by their endings
KmerTokenizer(KmerConfig(3)).save(place / "tokenizer")
call("encode", place / "data", "--tokenizer", place / "tokenizer", "--out", place / "tokens")
written = sorted(path.relative_to(place / "tokens").as_posix() for path in (place / "tokens").rglob("*.tokens"))
assert len(written) == 41 and written[0] == "alone.tokens" and "genes/read.7/x.tokens" in written, written
again = load_tokenizer(place / "tokenizer").decode(TokenStream.load(place / "tokens/genes/read.7/x.tokens"))
assert again.bases == strands["read.7/x"][:66]  # 67 bases are 22 codes and one left over

# train own --data FOLDER: a stream by its entry point, options of its fit by --set
small = ("--tiny", "--set", "training.steps=4", "--set", "streams.dna.fit.k=2")
call("train", "own", "--data", place / "data", "--out", place / "run", *small)
run = tm.load(place / "run")
assert list(run.layout.streams) == ["dna"] and run.tokenizers["dna"].config.k == 2
records = run.records(TRAIN) + run.records(HELD_OUT)
assert len(records) == 41 and len(run.records(HELD_OUT)) in range(1, 15)
call("generate", "dna", "--run", place / "run", "--length", 12, "--out", place / "drawn.fa")
assert set(Dna.load(place / "drawn.fa").bases) <= set("ACGT")

# edit: a region in bases of a file, and of one record of many
before = strands["read.9/x"]
for number, source in enumerate((f"{place / 'data/genes.fasta'}#read.9/x", place / "data/alone.fa")):
    out = place / f"edited{number}.fasta"
    call("edit", source, "--run", place / "run", "--regenerate", "20:31", "--out", out)
edited = Dna.load(place / "edited0.fasta").bases
assert len(edited) == len(before) and edited[:20] == before[:20] and edited[32:] == before[32:]
assert before[-1] == edited[-1] and len(before) % 2 == 1  # the base that has no code is kept

long = "".join(draw.choices("ACGT", k=2401))  # more codes than the model sees at a time
Dna(long).save(place / "long.fa")
call("edit", place / "long.fa", "--run", place / "run", "--regenerate", "2000:2011", "--out", place / "edited.fa")
edited = Dna.load(place / "edited.fa").bases
assert len(edited) == len(long) and edited[:2000] == long[:2000] and edited[2012:] == long[2012:]

call("report", place / "run", "--data", place / "data", "--out", place / "report.html")
page = (place / "report.html").read_text()
filled = len(set(re.findall(r"step (\d+) of \d+: \d+% decided", page)))
assert "no picture of" not in page and 1 < filled <= 6
assert page.count("<code>") == 5 + filled, (
    page.count("<code>"),
    filled,
)  # before and after of two, a sample, its steps
assert "dna: bases 21 to 40" in page  # the middle of the held-out strand of 61 bases, as the view names it
assert f"<mark>{strands['read.1/x'][21:40]}</mark>" in page

# a metric of the package, by its entry point
call("evaluate", place / "run", "--quick")
found = json.loads((place / "run/evaluation.json").read_text())
figures = [figure["name"] for stream in found["streams"] for figure in stream["figures"]]
assert figures.count("divergence of neighbouring codes of dna") == 1 and len(figures) > 3, figures
sys.stdout.write("done\n")
