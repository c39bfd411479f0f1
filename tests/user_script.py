"""What a person writes, for type checkers alone: tests/typecheck.py reads it under mypy --strict, nothing runs it.

Every mistake has the code with which it must be found; strict mode fails where a "type: ignore" is not needed.
"""

from __future__ import annotations

import tokenmask as tm
from tokenmask.generation import DrawOptions
from tokenmask.recipes import load_recipe
from tokenmask.sampling import Sampler
from tokenmask.scores import ConfidenceScore
from tokenmask.streams import TokenStream

run = tm.load()
options: DrawOptions = {"steps": 4, "guidance": 2.0, "seed": 0}
picture = run.generate("image", given={"text": "sun"}, **options)[0]
streams: list[TokenStream] = run.generate_tokens("audio", [{"text": "six"}, {"text": "ten"}], duration_seconds=0.5)
edited = run.edit(picture, [(16, 0, 32, 32)], given={"text": "moon"}, steps=2, num_samples=2)
saved: tm.Run = run.swap_tokenizer("text", tm.load_tokenizer("text")).save("runs/one")
recipe: tm.Recipe = load_recipe("maskgit", tiny=True)
codec = tm.tokenizer("encodec", "facebook/encodec_24khz", levels=8, keep="reference")
swapped: tm.Run = run.swap_tokenizer("audio", codec)
sampler = Sampler(steps=8, order=ConfidenceScore(noise=4.5))
run.generate("image", sampler=sampler, progress=True)

run.generate("image", stepz=3)  # type: ignore[call-arg]
run.generate("image", steps="3")  # type: ignore[arg-type]
run.generate("audio", duration_seconds="1 s")  # type: ignore[arg-type]
run.generate_tokens("image", sede=3)  # type: ignore[call-arg]
run.edit(picture, [(16, 0, 32, 32)], guidence=2.0)  # type: ignore[call-arg]
run.generate(["image"])  # type: ignore[arg-type]
wrong: DrawOptions = {"stepz": 4}  # type: ignore[typeddict-unknown-key]
Sampler(steps=8, order="confidence")  # type: ignore[arg-type]
Sampler(step=8)  # type: ignore[call-arg]
tm.load(3)  # type: ignore[arg-type]
count: int = tm.load_tokenizer("text")  # type: ignore[assignment]
