"""What the commands about runs take that do not draw, in words for a newcomer.

Does not know: what a command does. Imports nothing that is slow, so that help is quick.
"""

from __future__ import annotations

from tokenmask.cli.arguments import (
    HELD_OUT,
    SOURCE,
    Commands,
    add_asked,
    add_channel,
    add_device,
    add_force,
    add_map,
    add_tokenizer,
    add_workers,
    command,
    count,
    grid,
    named,
    not_below_0,
    positive,
    run_folder,
    seed,
)


def train(commands: Commands) -> None:
    """``tokenmask train``."""
    small = (
        "tokenmask train captions --tiny --out runs/tiny --corpus runs/demo/corpus/emoji \\\n"
        "      --tokenizer text=runs/demo/tokenizers/text --tokenizer image=runs/demo/tokenizers/image"
    )
    examples = [
        f"{small} --dry-run",
        small,
        "tokenmask train own --data runs/demo/samples --out runs/own --from runs/tiny --tiny",
    ]
    about = "Train a model, on your own data or on corpora, or go on with a stopped training."
    own = "On your own data two commands are all: this one with --data, which fits tokenizers, builds a corpus and "
    own += "trains, all in the run folder, and `tokenmask generate`. However it was stopped, the same command goes on."
    parser = command(commands, "train", about, examples, own)
    parser.add_argument("recipe", metavar="RECIPE", help="name of a recipe (see `tokenmask recipes`) or a YAML file")
    parser.add_argument("--out", required=True, metavar="RUN", help="the run folder")
    parser.add_argument("--data", nargs="+", metavar="SOURCE", help=f"your own data: {SOURCE}; {HELD_OUT}")
    parser.add_argument(
        "--corpus",
        action="append",
        default=[],
        metavar="FOLDER[=WEIGHT]",
        help="a corpus that is built already, and its weight among several (default: 1); again for more",
    )
    add_tokenizer(parser, required=False)
    parser.add_argument(
        "--from",
        dest="start",
        type=run_folder,
        metavar="RUN",
        help="another run whose weights are started from, or `shipped` for the model that ships; its tokenizers serve "
        "the streams of the same name, and the rows of streams that it lacks start fresh",
    )
    parser.add_argument(
        "--freeze",
        action="store_true",
        help="train the rows of new streams only, those that the run of --from lacks and those whose tokenizer was "
        "swapped there; all else stays as it is, bit for bit",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="a field of the recipe (`tokenmask recipes NAME` shows all), such as training.steps=500 or "
        "streams.text.fit.vocab_size=600; again for more",
    )
    parser.add_argument("--tiny", action="store_true", help="use the recipe's tiny variant, to try things out")
    add_map(parser)
    add_asked(parser)
    add_channel(parser)
    add_workers(parser)
    add_device(parser, "the model is trained; tokenizers are fitted and data encoded on the CPU")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="print parameters, positions a step, memory, steps and, for a small model, time; then stop",
    )
    parser.add_argument(
        "--nodes",
        type=count,
        metavar="N",
        help="with --dry-run: as if on so many machines, with --gpus in each (default: 8) and --device a100, h100 or "
        "h200 (default: h100); memory, what is sent, and expected efficiency",
    )
    parser.add_argument("--gpus", type=count, metavar="N", help="with --dry-run: of each of --nodes (default: 1 node)")


def swap(commands: Commands) -> None:
    """``tokenmask swap``."""
    examples = [
        "tokenmask swap runs/demo image=tokenizers/small --out runs/swapped",
        "tokenmask swap shipped --remove eeg --out runs/without-eeg",
    ]
    parser = command(commands, "swap", "Exchange a tokenizer of a run; all else is kept, bit for bit.", examples)
    parser.add_argument("run", type=run_folder, metavar="RUN", help="a run folder, or `shipped`; it is left as it is")
    parser.add_argument(
        "tokenizer",
        nargs="*",
        metavar="NAME=FOLDER",
        help="a stream and its new tokenizer, a folder or a published one as KIND:SOURCE "
        "(audio=encodec:FOLDER,levels=8); a stream that the run does not have is added",
    )
    parser.add_argument("--remove", action="append", default=[], metavar="NAME", help="a stream to take out")
    parser.add_argument("--corpus", action="append", default=[], metavar="FOLDER", help="data with the new codes")
    parser.add_argument("--out", required=True, metavar="RUN2", help="the new run folder")
    parser.add_argument("--seed", type=seed, default=0, metavar="N", help="of rows without relation (default: 0)")


def evaluate(commands: Commands) -> None:
    """``tokenmask evaluate``."""
    examples = ["tokenmask evaluate runs/demo --quick"]
    parser = command(commands, "evaluate", "Measure a run: bits, distances, diversity, conditions.", examples)
    parser.add_argument(
        "run", metavar="RUN", help="a run folder whose corpora have held-out records; gets evaluation.json"
    )
    parser.add_argument(
        "--data",
        nargs="+",
        metavar="SOURCE",
        help=f"media on which the tokenizers are measured: {SOURCE}; those that are held out are taken, all if none "
        "are (default: the data that ships, for the tokenizers that ship)",
    )
    add_asked(parser)
    add_channel(parser)
    parser.add_argument("--quick", action="store_true", help="16 samples a figure instead of 64, and one mask a record")
    parser.add_argument("--draws", type=count, metavar="N", help="masks of each record (default: 4, with --quick 1)")
    parser.add_argument("--seed", type=seed, default=0, metavar="N", help="of masks and samples (default: 0)")


def tune(commands: Commands) -> None:
    """``tokenmask tune``."""
    examples = ["tokenmask tune runs/demo --stream image --budgets 2,4 --candidates 3 --samples 8"]
    parser = command(
        commands,
        "tune",
        "Find the schedule, order, steps, temperature and guidance that fill a stream best, for several budgets.",
        examples,
        "Settings are chosen on one half of the held-out records and reported on the other. What was found is written "
        "into the run: `generate --budget N` takes the best of at most N passes, `generate` the cheapest that is as "
        "good as any and holds on both halves, or what the run had.",
    )
    parser.add_argument("run", metavar="RUN", help="a run folder whose corpora have held-out records")
    parser.add_argument("--stream", required=True, metavar="NAME", help="which is filled")
    parser.add_argument(
        "--budgets",
        type=grid,
        metavar="N,N",
        help="passes of a record through the model, a guided step takes two (default: 4,8,16 a level of a group)",
    )
    parser.add_argument("--candidates", type=count, default=12, metavar="N", help="settings tried (default: 12)")
    parser.add_argument(
        "--samples", type=count, default=32, metavar="N", help="records generated to tell the best (default: 32)"
    )
    parser.add_argument(
        "--metric", metavar="NAME", help="of tokenmask.evaluation.metrics, or a class path (default: Generated)"
    )
    parser.add_argument(
        "--figure", metavar="NAME", help="of the metric, by the beginning of its name (default: its first)"
    )
    parser.add_argument("--higher", action="store_true", help="the figure is better the higher it is")
    parser.add_argument("--seed", type=seed, default=0, metavar="N", help="of settings and samples (default: 0)")
    parser.add_argument("--dry", action="store_true", help="show what would be written, and write nothing")


def study(commands: Commands) -> None:
    """``tokenmask study``."""
    examples = [
        "tokenmask study steps.yaml --new runs/demo --stream image",
        "tokenmask study steps.yaml",
    ]
    parser = command(
        commands,
        "study",
        "Compare variants of a recipe or of a sampler, with intervals: a page of YAML says which, and by what.",
        examples,
        "Each variant with each seed is measured once and kept, so the same command again goes on where it stopped; "
        "pages to begin with lie in benchmarks/studies.",
    )
    parser.add_argument("file", metavar="FILE", help="the page, see tokenmask.studies.read_study")
    parser.add_argument("--new", metavar="RUN", help="write a first page about a run, instead of measuring one")
    parser.add_argument("--stream", metavar="NAME", help="with --new: what is generated (default: the run's first)")
    parser.add_argument(
        "--work",
        metavar="FOLDER",
        help="where measured variants, corpora and trained runs are kept (default: runs/studies/NAME)",
    )
    parser.add_argument(
        "--out", metavar="FOLDER", help="where NAME.json and NAME.svg are written (default: that of --work)"
    )
    add_force(parser)


def report(commands: Commands) -> None:
    """``tokenmask report``."""
    examples = ["tokenmask report runs/demo", "tokenmask report runs/demo --data runs/demo/samples --out report.html"]
    parser = command(commands, "report", "Show a run to people: one HTML file, with all it needs inside.", examples)
    parser.add_argument(
        "run", nargs="?", type=run_folder, metavar="RUN", help="a run folder (default: the model that ships)"
    )
    parser.add_argument(
        "--out", metavar="FILE", help="the file; one that is there is replaced (default: report.html in RUN, or here)"
    )
    parser.add_argument(
        "--data",
        nargs="+",
        metavar="SOURCE",
        help=f"media to show beside what comes back from their codes: {SOURCE}; those that are held out are taken, "
        "all if none are (default: the data that ships, for the tokenizers that ship)",
    )
    add_asked(parser)
    add_channel(parser)
    parser.add_argument("--seed", type=seed, default=0, metavar="N", help="of the samples (default: 0)")


def show(commands: Commands) -> None:
    """``tokenmask show``."""
    examples = ["tokenmask show steps.safetensors --run runs/demo --out steps.html"]
    about = "Show a generation that was recorded, step by step: one HTML file."
    parser = command(commands, "show", about, examples)
    parser.add_argument("recording", metavar="FILE", help="what --record, or Recording.save, wrote")
    parser.add_argument(
        "--run", type=run_folder, metavar="RUN", help="whose tokenizers decode it (default: the model that ships)"
    )
    parser.add_argument(
        "--out", metavar="FILE", help="the HTML file; one that is there is replaced (default: FILE.html)"
    )


def play(commands: Commands) -> None:
    """``tokenmask play``."""
    examples = ["tokenmask play", "tokenmask play runs/demo --browser", "tokenmask play runs/demo --swap audio=shipped"]
    about = "Draw, open and edit media of a run on a page of this machine."
    more = "Needs gradio (pip install 'tokenmask[play]'). The page is at 127.0.0.1 alone, and sends nothing elsewhere."
    parser = command(commands, "play", about, examples, more)
    parser.add_argument(
        "run", nargs="?", type=run_folder, metavar="RUN", help="a run folder (default: the model that ships)"
    )
    parser.add_argument(
        "--swap",
        action="append",
        default=[],
        metavar="NAME=FOLDER",
        help="another tokenizer of a stream, named as in `tokenmask swap`, to see what the run draws before and after "
        "it is exchanged; again for more",
    )
    parser.add_argument("--port", type=count, metavar="N", help="of the page (default: a free one)")
    parser.add_argument("--browser", action="store_true", help="open the page in the browser of this machine")


def serve(commands: Commands) -> None:
    """``tokenmask serve``."""
    examples = ["tokenmask serve", "tokenmask serve runs/demo --port 8080 --waiting 32"]
    about = "Answer requests of programs: media for JSON, over HTTP on this machine, until Ctrl-C or SIGTERM."
    more = "What waits while something is drawn, and asks alike, is drawn together; what is drawn stays the same, bit "
    more += "for bit. Stopped once it finishes what runs."
    parser = command(commands, "serve", about, examples, more)
    parser.add_argument(
        "run", nargs="?", type=run_folder, metavar="RUN", help="a run folder (default: the model that ships)"
    )
    parser.add_argument("--port", type=count, metavar="N", help="where it listens (default: a free one)")
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="of which network; any other lets it in, without a password (default: 127.0.0.1)",
    )
    parser.add_argument(
        "--waiting", type=count, default=128, metavar="N", help="most requests in the queue (default: 128)"
    )
    parser.add_argument("--rows", type=count, default=64, metavar="N", help="most drawn together (default: 64)")
    parser.add_argument(
        "--patience", type=positive, default=300.0, metavar="SECONDS", help="longest wait of one (default: 300.0)"
    )
    add_device(parser, "it draws")


def push(commands: Commands) -> None:
    """``tokenmask push``."""
    examples = ['tokenmask push runs/demo me/my-run --licence cc-by-4.0 --data "my pictures=cc0-1.0" --dry-run']
    about = "Send a run to a hub, with a model card: recipe, weights, tokenizers and figures, none of your data."
    more = "Needs huggingface_hub (pip install 'tokenmask[hub]') and its login (hf auth login)."
    parser = command(commands, "push", about, examples, more)
    parser.add_argument(
        "run", type=run_folder, metavar="RUN", help="a run folder, or `shipped`; a README.md in it is sent as it is"
    )
    parser.add_argument("name", metavar="USER/NAME", help="the repository; one that is not there is made")
    parser.add_argument("--public", action="store_true", help="make a new repository one that everybody can see")
    parser.add_argument("--dry-run", action="store_true", help="list what would be sent, and send nothing")
    parser.add_argument("--title", metavar="WORDS", help="heading of the card (default: name of the folder)")
    parser.add_argument("--licence", metavar="ID", help="of the weights, such as cc-by-4.0")
    parser.add_argument(
        "--data",
        action="append",
        default=[],
        type=named,
        metavar="NAME=LICENCE",
        help="a source of data; again for more",
    )
    parser.add_argument(
        "--limit", action="append", default=[], metavar="SENTENCE", help="what the run cannot do; again for more"
    )
    parser.add_argument(
        "--samples", type=not_below_0, default=0, metavar="N", help="samples of each stream in the card (default: 0)"
    )
    parser.add_argument("--seed", type=seed, default=0, metavar="N", help="of the samples (default: 0)")


def pull(commands: Commands) -> None:
    """``tokenmask pull``."""
    examples = ["tokenmask pull me/my-run runs/theirs"]
    about = "Fetch a run from a hub into a new folder, which appears when all of it is there and opens."
    parser = command(commands, "pull", about, examples, "Needs huggingface_hub (pip install 'tokenmask[hub]').")
    parser.add_argument("name", metavar="USER/NAME", help="the repository")
    parser.add_argument("folder", metavar="RUN", help="the new run folder")
    parser.add_argument("--revision", metavar="NAME", help="branch, tag or commit (default: the main branch)")


def info(commands: Commands) -> None:
    """``tokenmask info``."""
    examples = ["tokenmask info", "tokenmask info runs/demo"]
    parser = command(commands, "info", "Say what is installed, or what a run is.", examples)
    parser.add_argument("run", nargs="?", type=run_folder, metavar="RUN", help="a run folder to describe, or `shipped`")


def recipes(commands: Commands) -> None:
    """``tokenmask recipes``."""
    examples = ["tokenmask recipes", "tokenmask recipes maskgit"]
    parser = command(commands, "recipes", "List the recipes that ship, or print one in full.", examples)
    parser.add_argument("name", nargs="?", metavar="NAME", help="print this recipe, or YAML file, with every field")
    parser.add_argument("--tiny", action="store_true", help="print its tiny variant")


def demo(commands: Commands) -> None:
    """``tokenmask demo``."""
    examples = ["tokenmask demo"]
    parser = command(commands, "demo", "Do the whole job on data that ships, in a few minutes.", examples)
    parser.add_argument(
        "--out",
        default="runs/demo",
        metavar="RUN",
        help="the run folder; the same command again goes on (default: runs/demo)",
    )
