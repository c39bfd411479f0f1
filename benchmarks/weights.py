"""Makes the weights that ship: python benchmarks/weights.py --out runs/weights [--only STREAM] [--install].

Fits every tokenizer of recipe ``five`` on the data that ships, judges it on held-out items and trains the shared model.
With --tokenizers shipped those that ship are taken instead, with their figures and the later decoders of speech and
pictures, which decoders.py makes. With --install all of it goes into tokenmask/weights with the figures. Killed at any
moment, it goes on where it stopped. With --validate the shared model learns without a part of its training records and
is judged on that part, in OUT/validate: what --set changes is chosen so, not on what is held out.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

from asked import UNSEEN

from tokenmask.corpus import TRAIN, build_corpus
from tokenmask.demo import REDUCED, build_corpora, evaluate_tokenizer, items, score_line
from tokenmask.demo.recolouring import recoloured_emoji
from tokenmask.demo.strangers import changed_emoji, changed_motions, joined_speech
from tokenmask.files import write_text_atomic
from tokenmask.models import MaskedModel
from tokenmask.nn import has_bfloat16_products
from tokenmask.recipes import Recipe, load_recipe, recipe_yaml
from tokenmask.recipes.learners import learner_of
from tokenmask.run import SHIPPED, Run, train
from tokenmask.run.folder import LENGTHS, model_path
from tokenmask.run.training import lengths_told_by
from tokenmask.tokenizer import DESCRIPTION_FILE, load_tokenizer
from tokenmask.training import StreamScore

LIMIT_BYTES = 20_000_000
KEPT = ("layout.json", "run.json")
# The training has eight parts, each from the weights of the one before: with pictures that also come moved, at a held
# rate, which teaches what pictures are like; with pictures that stand still, which teaches each of them; five times as
# long, with both, with pictures in other colours, which teaches what colours are called, and with more of the other
# kinds; with more speech and more of the ways back from media to words; with still more, as recipe five says; with
# pictures and recordings beside words that tell little of them, which teaches what to make of those that are not known;
# a short one at a low rate, with more of what the sixth part had less of; and, from the mean of the weights of these
# two, one with other such pictures and recordings, three and two times as many, and with motions of that kind. What
# ships is the mean of where it began and where it ended; its sixth and eighth part began in half precision.
# Records of each corpus in the mix; a record of EEG is three times as long as others.
FIRST_WEIGHTS = {"emoji": 8.0, "speech": 6.0, "motion": 2.0, "eeg": 0.5, "verses": 0.5}
SECOND_WEIGHTS = {"still": 10.0, "speech": 5.0, "motion": 1.5, "eeg": 0.25, "verses": 0.25}
THIRD_WEIGHTS = {"emoji": 3.0, "still": 4.0, "recoloured": 2.0, "speech": 6.0, "motion": 1.0, "eeg": 1.2, "verses": 0.5}
FOURTH_WEIGHTS = {
    "emoji": 4.0,
    "still": 4.0,
    "recoloured": 1.5,
    "speech": 7.0,
    "motion": 0.8,
    "eeg": 1.0,
    "verses": 0.5,
}
FIFTH_WEIGHTS = {"emoji": 4.0, "still": 4.0, "recoloured": 1.5, "speech": 9.0, "motion": 0.7, "eeg": 0.9, "verses": 0.5}
SIXTH_WEIGHTS = {
    "emoji": 4.0,
    "still": 4.0,
    "recoloured": 2.5,
    "speech": 9.0,
    "motion": 0.7,
    "eeg": 0.5,
    "verses": 0.5,
    "changed": 6.0,
    "joined": 5.0,
}
SEVENTH_WEIGHTS = {
    "emoji": 6.0,
    "still": 6.0,
    "recoloured": 3.5,
    "speech": 8.0,
    "motion": 1.2,
    "eeg": 1.5,
    "verses": 0.5,
    "changed": 5.0,
    "joined": 4.0,
}
WEIGHTS = {
    "emoji": 6.0,
    "still": 6.0,
    "recoloured": 3.5,
    "speech": 9.5,
    "motion": 1.3,
    "altered": 0.8,
    "eeg": 1.3,
    "verses": 0.8,
    "more changed": 5.5,
    "more joined": 4.5,
}
FIRST = (
    *("training.steps=1200", "training.batch_size=64", "training.peak_lr=6e-3", "training.warmup_steps=60"),
    *("training.final_lr_share=1.0", "training.decay_share=1.0", "training.checkpoint_every=200"),
    *("conditioning.odds.image=6.0", "conditioning.odds.text=1.0"),
)
SECOND = (
    *("training.steps=2250", "training.batch_size=32", "training.peak_lr=5e-3", "training.warmup_steps=30"),
    *("training.decay_share=0.65", "training.checkpoint_every=200"),
    *("conditioning.odds.image=6.0", "conditioning.odds.text=1.0"),
)
THIRD = (
    *("training.steps=6500", "training.peak_lr=4e-3", "conditioning.odds.image=6.0", "conditioning.odds.text=2.0"),
)
FOURTH = ("training.steps=3500",)
PRODUCTS = REDUCED if has_bfloat16_products() else ()  # another training, bit for bit, in two thirds of the time
SIXTH = (
    *("training.steps=5400", "training.peak_lr=2e-3", "training.warmup_steps=30", "training.decay_share=0.9"),
    *PRODUCTS,
)
SEVENTH = (
    *("training.steps=1100", "training.peak_lr=8e-4", "training.warmup_steps=20", "training.decay_share=1.0"),
    *("conditioning.odds.text=7.0", *PRODUCTS),
)
LAST = (
    *("training.steps=6000", "training.peak_lr=2e-3", "training.warmup_steps=30", "training.decay_share=0.9"),
    *("conditioning.odds.text=7.0", *PRODUCTS),
)
PARTS = (
    ("first", FIRST, FIRST_WEIGHTS),
    ("second", SECOND, SECOND_WEIGHTS),
    ("third", THIRD, THIRD_WEIGHTS),
    ("fourth", FOURTH, FOURTH_WEIGHTS),
    ("fifth", (), FIFTH_WEIGHTS),
    ("sixth", SIXTH, SIXTH_WEIGHTS),
    ("seventh", SEVENTH, SEVENTH_WEIGHTS),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--out", type=Path, default=Path("runs/weights"), help="everything is made here")
    parser.add_argument("--only", action="append", choices=items.STREAMS, help="fit only this tokenizer and stop")
    parser.add_argument("--tokenizers", choices=("fitted", "shipped"), default="fitted", help="where they come from")
    parser.add_argument("--set", action="append", default=[], help="field=value of the recipe")
    parser.add_argument("--validate", metavar="NAME", help="judge settings on training records; NAME of the trial")
    parser.add_argument("--steps", type=int, help="of each part of the training, to see that all of it runs")
    parser.add_argument("--install", action="store_true", help="replace tokenmask/weights by what was made")
    arguments = parser.parse_args()
    recipe = load_recipe("five", overrides=arguments.set)
    tokenizers = {}
    for name in arguments.only or items.STREAMS:
        folder = arguments.out / "tokenizers" / name
        if arguments.tokenizers == "shipped" and not (folder / DESCRIPTION_FILE).is_file():
            take_shipped(name, arguments.out)
        if not (folder / DESCRIPTION_FILE).is_file():
            kind, options = learner_of(recipe, name)
            resumed = {} if name == "text" else {"folder": arguments.out / f"fit-{name}"}
            fitted = kind.fit(items.media(name, TRAIN), seed=0, **resumed, **options)
            fitted.save(folder)
        tokenizers[name] = load_tokenizer(folder)
        report = arguments.out / f"{name}.json"
        if not report.is_file():
            figures = evaluate_tokenizer(name, tokenizers[name])
            write_text_atomic(report, json.dumps(figures, indent=2) + "\n")
        print(name, report.read_text(encoding="utf-8"))
    if arguments.only:
        return
    validating = arguments.validate is not None
    corpus = arguments.out / ("corpus-validate" if validating else "corpus")
    build_corpora(tokenizers, corpus, varied=True, validation=validating, mirrored=False, eightfold=True)
    home = arguments.out / "validate" / arguments.validate if validating else arguments.out
    emoji = items.corpora(validation=validating, mirrored=False, eightfold=True)["emoji"]
    captioned = {name: tokenizers[name] for name in ("text", "image")}
    still = [one for one in items.unmoved(emoji) if one.split == TRAIN]
    build_corpus(still, captioned, corpus / "still", on_error="raise")
    build_corpus(recoloured_emoji(UNSEEN, validating), captioned, corpus / "recoloured", on_error="raise")
    build_corpus(changed_emoji(UNSEEN, validation=validating), captioned, corpus / "changed", on_error="raise")
    spoken = {name: tokenizers[name] for name in ("text", "audio")}
    build_corpus(joined_speech(validation=validating), spoken, corpus / "joined", on_error="raise")
    more = changed_emoji(UNSEEN, each=24, seed=7, validation=validating)
    build_corpus(more, captioned, corpus / "more changed", on_error="raise")
    more = joined_speech(each=16, seed=9, validation=validating)
    build_corpus(more, spoken, corpus / "more joined", on_error="raise")
    named = {name: tokenizers[name] for name in ("text", "motion")}
    build_corpus(changed_motions(validation=validating), named, corpus / "altered", on_error="raise")
    start, short = None, [] if arguments.steps is None else [f"training.steps={arguments.steps}"]
    for name, fixed, weights in PARTS:
        part = load_recipe("five", overrides=[*arguments.set, *fixed, *short])
        train(home / name, part, tokenizers, [(corpus / one, weight) for one, weight in weights.items()], start=start)
        start = home / name
    begun = mean(home / "sixth", home / "seventh", home / "begun")
    homes = [(corpus / one, weight) for one, weight in WEIGHTS.items()]
    last = load_recipe("five", overrides=[*LAST, *arguments.set, *short])
    train(home / "run", last, tokenizers, homes, start=begun)
    run = Run.load(mean(home / "run", begun, home / "mean"))
    run = replace(run, lengths=lengths_told_by([corpus / name for name in FIRST_WEIGHTS], run.layout))
    report = home / "model.json"
    if not report.is_file():
        plain = [(str(corpus / one), weight) for one, weight in FIRST_WEIGHTS.items()]  # each record once
        scores = [score.to_json() for score in replace(run, corpora=plain).held_out_scores(draws=4)]
        write_text_atomic(report, json.dumps(scores, indent=1) + "\n")
    for values in json.loads(report.read_text(encoding="utf-8")):
        print(score_line(StreamScore(**values)))
    if arguments.install and not validating:
        install(run, recipe, arguments.out)


def mean(folder: Path, before: Path, out: Path) -> Path:
    """A run with the mean of the weights of two, of which each is better at something; its folder.

    All else is the first one's, but for its checkpoint and its losses; the weights are kept in half precision.
    """
    if model_path(out).is_file():
        return out
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(folder, out, ignore=shutil.ignore_patterns("checkpoint*", "metrics*", "models"))
    model, others = (Run.load(one).models["main"] for one in (folder, before))
    found, weights = others.state_dict(), model.state_dict().items()
    model.load_state_dict({name: (own + found[name]) / 2 if own.is_floating_point() else own for name, own in weights})
    model_path(out).parent.mkdir()
    model.save(model_path(out), half=True)
    return out


def take_shipped(name: str, out: Path) -> None:
    """Copies a tokenizer that ships, and its figures, to where fitted ones are kept."""
    figures = json.loads((SHIPPED / "figures.json").read_text(encoding="utf-8"))[name]
    write_text_atomic(out / f"{name}.json", json.dumps(figures, indent=2) + "\n")
    load_tokenizer(SHIPPED / "tokenizers" / name).save(out / "tokenizers" / name)


def install(run: Run, recipe: Recipe, made: Path) -> None:
    """Copies the run without its corpora, in half precision; the figures of all parts go with it.

    Its recipe is ``five``, not that of the last part: whoever trains on with it may lack products in bfloat16.
    """
    fresh = SHIPPED.with_name("weights.new")
    shutil.rmtree(fresh, ignore_errors=True)
    for name in run.layout.names:
        if name not in run.layout.shares:
            run.tokenizers[name].save(fresh / "tokenizers" / name)
    for name in KEPT:
        shutil.copyfile(run.folder / name, fresh / name)
    write_text_atomic(fresh / "recipe.yaml", recipe_yaml(recipe))
    about = json.loads((fresh / "run.json").read_text(encoding="utf-8"))
    about.pop("started_from", None)  # a folder of the machine that made them
    about["sha256"]["recipe.yaml"] = hashlib.sha256((fresh / "recipe.yaml").read_bytes()).hexdigest()
    write_text_atomic(fresh / "run.json", json.dumps(about | {"corpora": []}, indent=2) + "\n")
    run.lengths.save(fresh / LENGTHS)
    (fresh / "models").mkdir()
    run.models["main"].save(fresh / "models" / "main.safetensors", half=True)
    MaskedModel.load(fresh / "models" / "main.safetensors")
    figures = {name: json.loads((made / f"{name}.json").read_text(encoding="utf-8")) for name in items.STREAMS}
    figures["model"] = json.loads((made / "model.json").read_text(encoding="utf-8"))
    write_text_atomic(fresh / "figures.json", json.dumps(figures, indent=2) + "\n")
    if (SHIPPED / "README.md").is_file():
        shutil.copyfile(SHIPPED / "README.md", fresh / "README.md")
    size = sum(path.stat().st_size for path in fresh.rglob("*") if path.is_file())
    if size > LIMIT_BYTES:
        raise ValueError(f"the weights may take {LIMIT_BYTES} bytes, got {size}; make the model smaller")
    shutil.rmtree(SHIPPED, ignore_errors=True)
    fresh.rename(SHIPPED)
    print(f"{SHIPPED}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
