"""What a user of the outside package does: swap its tokenizer in, train, generate, swap another size. Run in tmp."""

import sys
from pathlib import Path

from tokenmask_dna import Dna, DnaTokenizer

import tokenmask as tm
from tokenmask.corpus import Item, build_corpus
from tokenmask.recipes import load_recipe
from tokenmask.run import train
from tokenmask.swapping import kept
from tokenmask.testing import check_tokenizer

source, place = Path(sys.argv[1]), Path(sys.argv[2])
strands = [Dna(("ACGTTGCA" * 9)[shift : shift + 48]) for shift in range(24)]
tokenizer = DnaTokenizer.fit(strands)
check_tokenizer(tokenizer, strands[:4])
run = tm.load(source)
wider = run.swap_tokenizer("dna", tokenizer).save(place / "wider")
assert kept(run.models["main"], wider.models["main"])
items = [Item(str(number), {"dna": strand}) for number, strand in enumerate(strands)]
build_corpus(items, {"dna": tokenizer}, place / "corpus", progress=False, on_error="raise")
recipe = load_recipe(place / "wider" / "recipe.yaml", overrides=["training.steps=8"])
trained = train(place / "trained", recipe, wider.tokenizers, [(place / "corpus", 1.0)], progress=False)
strand = trained.generate("dna", length=6, seed=1)[0]
assert len(strand.bases) == 18 and set(strand.bases) <= set("ACGT")
pairs = trained.swap_tokenizer("dna", DnaTokenizer(2))
assert kept(trained.models["main"], pairs.models["main"], ["dna"])
assert len(pairs.generate("dna", length=6, seed=1)[0].bases) == 12
sys.stdout.write("done\n")
