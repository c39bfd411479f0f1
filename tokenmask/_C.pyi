from collections.abc import Sequence

version: str
torch_version: str
has_cuda: bool
cuda_note: str

def cpu_capability() -> str: ...
def purposes() -> dict[str, int]: ...
def philox4x32(counter: Sequence[int], key: Sequence[int]) -> list[int]: ...
