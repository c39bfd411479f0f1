"""Which parts of NeuroRVQ pay off: python benchmarks/eeg_parts.py [--steps 1500].

Fits the EEG tokenizer of recipe ``five`` with one part changed at a time, at 256 bit/s a channel, on the data that
ships, and prints band-wise figures of the held-out person. Source of the parts: arXiv:2510.13068, sections 3.1 and 3.2.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

from tokenmask.corpus import HELD_OUT, TRAIN
from tokenmask.demo import items
from tokenmask.modalities.eeg import EegTokenizer, EegTokenizerConfig

USUAL = EegTokenizerConfig()
SCALES = (41, 29, 17, 9)  # of the paper, 21, 15, 9 and 5, for twice the samples a token
PARTS = {
    "as it ships: squared error, log amplitude and phase": USUAL,
    "squared error alone": replace(USUAL, spectral_weight=0.0),
    "amplitude and phase weigh four times as much": replace(USUAL, spectral_weight=2.0),
    "codes of length one": replace(USUAL, unit=True),
    "four kernels, codebooks of their own": replace(USUAL, kernels=SCALES, levels=1),
    "four kernels, codebooks of their own, codes of length one": replace(USUAL, kernels=SCALES, levels=1, unit=True),
}
FIGURES = ("correlation", "beta_correlation", "beta_power_error_db", "gamma_correlation", "gamma_power_error_db")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "eeg_parts.json")
    arguments = parser.parse_args()
    train, held_out = items.media("eeg", TRAIN), items.media("eeg", HELD_OUT)
    rows: dict[str, dict[str, float]] = {}
    print("| part | bit/s | " + " | ".join(name.replace("_", " ") for name in FIGURES) + " |")
    print("|---" * (2 + len(FIGURES)) + "|")
    for name, config in PARTS.items():
        figures = EegTokenizer.fit(train, config=config, steps=arguments.steps, seed=0).evaluate(held_out, train)
        rows[name] = figures
        cells = " | ".join(f"{figures[one]:.3f}" for one in FIGURES)
        print(f"| {name} | {figures['bits_per_second_per_channel']:.0f} | {cells} |", flush=True)
    first = next(iter(rows.values()))
    cells = " | ".join(f"{first[f'pca_{one}']:.3f}" for one in FIGURES)
    print(f"| principal components, as many bits | {first['bits_per_second_per_channel']:.0f} | {cells} |")
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps({"steps": arguments.steps, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
